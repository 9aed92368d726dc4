"""A lab's symptom over time: awaited before the hand-over, watched while the learner works, at last gone."""

from collections.abc import Callable

from cka_kubelet.clock import Clock, wait_until
from cka_kubelet.errors import LabStartError, NodeError
from cka_kubelet.labspec.symptoms import NodeSymptom, Symptom
from cka_kubelet.remote.shell import Shell
from cka_kubelet.scoring import symptoms
from cka_kubelet.scoring.symptoms import Sight
from cka_kubelet.scoring.witness import ApiWitness

LOOK_SECONDS = 3.0
"""A command is no more often run on the node than this."""
NEVER = float("inf")


class SymptomWatch:
    """One symptom of one cluster. `now` is for one thread at a time."""

    def __init__(self, symptom: Symptom, api: ApiWitness, shell: Callable[[str], Shell], clock: Clock) -> None:
        self._symptom = symptom
        self._api = api
        self._shell = shell
        self._clock = clock
        self._last: Sight | None = None
        self._looked = -NEVER
        self._healthy: float | None = None

    def show(self) -> None:
        """Return once the symptom shows. Raises LabStartError past its deadline, with what was there instead.

        A silent kubelet is noticed after the controller's grace period; ageing its lease spares that wait. A kubelet
        that still talks is left alone: it says itself what is wrong.
        """
        symptom = self._symptom
        silent = symptom.node if isinstance(symptom, NodeSymptom) and symptom.ready == "Unknown" else ""
        injected = self._api.snapshot().now if silent else 0.0
        found = "nothing could be seen"

        def shows() -> bool:
            nonlocal found
            try:
                if silent:
                    self._api.age_lease(silent, injected)
                sight = self._look()
            except NodeError as err:  # the fault may have taken what is asked with it for a while
                found = err.message
                return False
            found = f"`{sight.subject}` {sight.state} ({sight.detail[:200]})"
            return sight.shows

        if not wait_until(shows, symptom.within, self._clock, every=0.2):
            raise LabStartError(
                f"the symptom did not show within {symptom.within} s: {found}; the fault was taken out again",
                "Try again; if it stays so, `cka-kubelet nodes destroy` gives fresh nodes.",
            )

    def now(self) -> Sight:
        """What is to be seen, at most LOOK_SECONDS old. Raises NodeUnreachableError, CommandError."""
        if self._last is not None and self._clock.monotonic() - self._looked < LOOK_SECONDS:
            return self._last
        return self._look()

    def gone_since(self) -> float:
        """Since when all is well again, in seconds since the epoch; NEVER when it is not, or cannot be told."""
        try:
            sight = self._look()
        except NodeError:
            return NEVER
        if not sight.healthy:
            return NEVER
        return sight.since if sight.since is not None else self._healthy or NEVER

    def _look(self) -> Sight:
        self._last = sight = symptoms.look(self._symptom, self._api, self._shell)
        self._looked = self._clock.monotonic()
        if not sight.healthy:
            self._healthy = None
        elif self._healthy is None:
            self._healthy = self._clock.now()
        return sight
