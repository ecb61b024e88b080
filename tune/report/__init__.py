"""What a search leaves for people to read: its page, and the page that compares several.

Of `tune` only the records are imported; matplotlib is loaded when a figure is drawn.
"""
