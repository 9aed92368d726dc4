"""The version this kubelet reports."""

VERSION = "v1.36.2+cka"
