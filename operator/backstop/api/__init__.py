"""The custom resources as pydantic models, and the generator of their CRDs."""

from typing import Final

GROUP: Final = "backstop.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
