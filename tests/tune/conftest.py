"""Sets what Ray reads when it is imported, before any test file imports it."""

import tune  # noqa: F401
