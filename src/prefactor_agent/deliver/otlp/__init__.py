"""Delivery of ended spans to an OpenTelemetry backend, over OTLP."""
