"""CSI: volumes of drivers that register with the kubelet. Loaded when the first driver or CSI volume appears."""
