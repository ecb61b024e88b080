"""From a finished search to trained models and an honest account of them."""
