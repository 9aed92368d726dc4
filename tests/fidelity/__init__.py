"""The fidelity bench: our kubelet under the faults that upstream's was recorded under, compared fact by fact.

`recording` and `comparing` are pure; `node` applies, watches and undoes; `__main__` is the command.
"""
