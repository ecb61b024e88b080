"""What an evaluation leaves for people to read: one page, figures, and a model card."""
