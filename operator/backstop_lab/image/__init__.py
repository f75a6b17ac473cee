"""How Backstop is packaged: its runtime requirements, bill of materials and container image.

Where there is no builder of images, `python -m backstop_lab.image` makes one from distribution
packages and wheels, for tests on a real node. The `Dockerfile` installs with the same `install.py`.
"""
