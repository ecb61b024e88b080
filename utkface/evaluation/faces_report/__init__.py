"""The faces as data, before any model: one page of counts, photographs' quality, copies, splits."""
