"""How good predictions are: measures, charts and a page. They need scikit-learn and matplotlib."""
