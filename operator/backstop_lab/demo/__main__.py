"""`python -m backstop_lab.demo`."""

from backstop_lab.demo.run import main

raise SystemExit(main())
