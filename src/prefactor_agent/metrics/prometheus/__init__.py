"""The totals as Prometheus reads them. LiveKit brings ``prometheus_client``."""
