"""Calls in an OpenTelemetry Collector, and how to run one."""
