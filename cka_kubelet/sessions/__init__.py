"""What outlives a run: the history, the lock; and the recorder of what the learner saw and ran."""
