"""The pod half of the kubelet: where pods come from, how they are run through CRI, and what is said about them."""
