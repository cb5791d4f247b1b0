"""Figures and the report page: the only place that imports matplotlib."""
