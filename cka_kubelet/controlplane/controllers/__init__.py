"""The scheduler and the controllers. Each talks to the API through a Client and nothing else."""
