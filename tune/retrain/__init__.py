"""From a finished search to trained models and what they are worth."""
