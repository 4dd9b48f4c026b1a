"""PolicyBundle: observer and policy together, as a folder that a production team can run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..envs.observer import NOBODY, Observation, Observer, Record
from ..envs.pack import PackError, pack, read, unpack, write
from ..envs.student import Context
from .agent import Policy
from .reasons import reasons


class Suggestion(NamedTuple):
    """One recommended activity."""

    activity: str
    title: str
    probability: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PolicyBundle:
    """Serving is the environment with the student taken out: the same observer and the same policy.

    `card` says what the policy was trained on, with which outcomes, and what to doubt: plain JSON values.
    """

    observer: Observer
    policy: Policy
    card: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write the bundle, all or nothing: arrays, JSON, the card, and a checksum of each file."""
        tree, arrays = pack({"observer": self.observer, "policy": self.policy})
        card = json.dumps(self.card, indent=1, allow_nan=False, sort_keys=True)
        write(Path(folder), tree, arrays, {"card.json": card})

    def export(self, folder: Path) -> None:
        """Write what `save` writes, and with it the whole serving step for runtimes without torch.

        policy.onnx is the graph, idle.onnx what is left of it where only time passed; serving.json says its inputs and
        outputs, the catalogue, and the record of a learner nobody knows yet. GraphError when this policy or tracer
        cannot be exported; then nothing is written.
        """
        from .graph import graph
        from .idle import idle

        written, description = graph(self.observer, self.policy)
        tree, arrays = pack({"observer": self.observer, "policy": self.policy})
        card = json.dumps(self.card, indent=1, allow_nan=False, sort_keys=True)
        texts = {"card.json": card, "serving.json": description}
        write(Path(folder), tree, arrays, texts, {"policy.onnx": written, "idle.onnx": idle(written)})

    @staticmethod
    def load(folder: Path, allow: Sequence[str] = ()) -> PolicyBundle:
        """Return the bundle; PackError when a file is missing, changed, foreign or of a newer schema.

        `allow` names packages besides trailmark whose classes may be built.
        """
        parts, card = unpack(*read(folder), allow), Path(folder) / "card.json"
        if not isinstance(parts, dict) or not {"observer", "policy"} <= set(parts) or not card.exists():
            raise PackError(f"{folder}: holds no policy bundle; give the folder `bundle` of a run, or export one")
        return PolicyBundle(parts["observer"], parts["policy"], json.loads(card.read_text()))

    def enrol(
        self, role: str | None = None, minutes: float = float("inf"), past: Sequence[tuple[str, float]] = ()
    ) -> Record:
        """Return the record of one new learner of `role` (the catalogue's first role by default).

        `minutes` is the time the learner has; `past` is what was done before the programme, oldest first, as pairs of
        activity and score. ValueError lists the roles when the catalogue has no such role.
        """
        roles = self.observer.catalog.roles
        if role is not None and role not in roles:
            raise ValueError(f"no role {role!r}; the catalogue has {list(roles)}")
        index = torch.tensor([roles.index(role) if role is not None else 0])
        goal = torch.from_numpy(self.observer.catalog.goals()).float()[index]
        before = torch.tensor([[self._index(activity) for activity, _ in past]], dtype=torch.int64)
        scores = torch.tensor([[_score(activity, correct) for activity, correct in past]], dtype=torch.float32)
        return self.observer.start(Context(index, goal, torch.tensor([float(minutes)]), before, scores))

    def answered(
        self, record: Record, activity: str, correct: float, minutes: float = 0.0, accepted: bool = True
    ) -> Record:
        """Return the record after the learner did `activity`, with a score `correct` from 0 to 1, in `minutes`.

        `accepted` is False where the learner did not take the activity up. ValueError when the catalogue has no such
        activity or the numbers make no sense.
        """
        if not 0.0 <= minutes < float("inf"):
            raise ValueError(f"{activity!r} took {minutes:g} minutes: say 0 or more")
        index, score = torch.tensor([self._index(activity)]), torch.tensor([_score(activity, correct)])
        return self.observer.update(record, index, score, torch.tensor([float(minutes)]), torch.tensor([accepted]))

    def elapsed(self, record: Record, days: float) -> Record:
        """Return the record after `days` without an activity; ValueError when they are negative."""
        if not 0.0 <= days < float("inf"):
            raise ValueError(f"{days:g} days went by: say 0 or more")
        return self.observer.elapse(record, torch.tensor([float(days)]))

    def chosen(self, record: Record, activity: str | None) -> Record:
        """Return the record after a person chose `activity` for the learner: it comes next, whatever rules say.

        None takes a choice back.
        """
        return record._replace(override=torch.tensor([NOBODY if activity is None else self._index(activity)]))

    def forbidden(self, record: Record, activity: str, yes: bool = True) -> Record:
        """Return the record after a person forbade `activity`, or with `yes=False` took that back; this beats all."""
        veto, index = record.veto.clone(), self._index(activity)
        veto[:, index] = yes
        clash = yes & (record.override == index)  # an older choice of the same activity is taken back
        return record._replace(veto=veto, override=torch.where(clash, NOBODY, record.override))

    def _index(self, activity: str) -> int:
        index = self.observer.catalog.activity_index.get(activity)
        if index is None:
            raise ValueError(f"no activity {activity!r} in this bundle's catalogue")
        return index

    def recommend(self, record: Record, k: int = 1) -> list[Suggestion]:
        """Return the `k` most probable allowed activities for one learner, best first, with reasons.

        Fewer where fewer are allowed, and none where a person forbade even the fallback: a person must take over. The
        first of the catalogue comes first among equals. ValueError when `k` is below 1.
        """
        if k < 1:
            raise ValueError(f"{k} suggestions were asked for: say 1 or more")
        observation = self.observer.observe(record)
        if bool(observation.handover[0]) and bool(record.veto[0, self.observer.catalog.fallback]):
            return []
        probabilities, mask = self.policy(observation)[0], observation.mask[0]
        order = torch.argsort(probabilities.masked_fill(~mask, -1.0), descending=True, stable=True)
        return [
            Suggestion(a.id, a.title, float(probabilities[i]), reasons_for(self.observer, record, observation, i))
            for i, a in ((i, self.observer.catalog.activities[i]) for i in order[: min(k, int(mask.sum()))].tolist())
        ]


def _score(activity: str, correct: float) -> float:
    if not 0.0 <= correct <= 1.0:
        raise ValueError(f"{activity!r} has the score {correct:g}: say one from 0 to 1")
    return float(correct)


def reasons_for(observer: Observer, record: Record, observation: Observation, activity: int) -> tuple[str, ...]:
    """Return in plain words what speaks for `activity` for the one learner of `record`."""
    catalog, chosen = observer.catalog, observer.catalog.activities[activity]
    mastery = observer.tracer.mastery(record.belief)[0]
    wanted = [catalog.skill_index[s] for s in chosen.skills if record.goal[0, catalog.skill_index[s]] > 0]
    return reasons(
        [(catalog.skills[index].title, float(mastery[index])) for index in wanted],
        float(observer.tracer.predict_at(record.belief, torch.tensor([activity]))[0]),
        chosen.minutes,
        int(observation.mask[0].sum()),
        int(record.override[0]) == activity,
        bool(observation.handover[0]),
    )
