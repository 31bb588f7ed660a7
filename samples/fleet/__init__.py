"""Many hosts: an S3 server for trying the archive on one machine, and a Kubernetes manifest."""
