"""PolicyBundle: observer and policy together, as a folder that a production team can run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..envs.observer import Observation, Observer, Record
from ..envs.pack import pack, read, unpack, write
from ..envs.student import Context
from .agent import Policy


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

    @staticmethod
    def load(folder: Path) -> PolicyBundle:
        """Return the bundle; PackError when a file is missing, changed, foreign or of a newer schema."""
        parts = unpack(*read(folder))
        return PolicyBundle(parts["observer"], parts["policy"], json.loads((Path(folder) / "card.json").read_text()))

    def enrol(self, role: str | None = None, minutes: float = float("inf")) -> Record:
        """Return the record of one new learner of `role` (the catalogue's first role by default).

        ValueError lists the roles when the catalogue has no such role.
        """
        roles = self.observer.catalog.roles
        if role is not None and role not in roles:
            raise ValueError(f"no role {role!r}; the catalogue has {list(roles)}")
        index = torch.tensor([roles.index(role) if role is not None else 0])
        goal = torch.from_numpy(self.observer.catalog.goals()).float()[index]
        none = torch.zeros(1, 0, dtype=torch.int64)
        return self.observer.start(Context(index, goal, torch.tensor([minutes]), none, none.float()))

    def answered(self, record: Record, activity: str, correct: float, minutes: float = 0.0) -> Record:
        """Return the record after the learner did `activity`; ValueError when the catalogue has no such activity."""
        index = self.observer.catalog.activity_index.get(activity)
        if index is None:
            raise ValueError(f"no activity {activity!r} in this bundle's catalogue")
        yes = torch.ones(1, dtype=torch.bool)
        return self.observer.update(record, torch.tensor([index]), torch.tensor([correct]), torch.tensor([minutes]), yes)

    def recommend(self, record: Record, k: int = 1) -> list[Suggestion]:
        """Return the `k` most probable activities for one learner, best first, with reasons; none that is masked."""
        observation = self.observer.observe(record)
        probabilities = self.policy(observation)[0]
        order = torch.argsort(probabilities, descending=True, stable=True)[:k].tolist()
        return [
            Suggestion(a.id, a.title, float(probabilities[i]), reasons(self.observer, record, observation, i))
            for i, a in ((i, self.observer.catalog.activities[i]) for i in order)
            if bool(observation.mask[0, i])
        ]


def reasons(observer: Observer, record: Record, observation: Observation, activity: int) -> tuple[str, ...]:
    """Return in plain words what speaks for `activity` for the one learner of `record`."""
    if bool(observation.handover[0]):
        return ("Nothing is allowed for this learner now: a person should take over.",)
    catalog, chosen = observer.catalog, observer.catalog.activities[activity]
    said = []
    if int(record.override[0]) == activity:
        said.append("A person chose it.")
    mastery = observer.tracer.mastery(record.belief)[0]
    wanted = [catalog.skill_index[s] for s in chosen.skills if record.goal[0, catalog.skill_index[s]] > 0]
    for index in wanted[:3]:
        said.append(f"It trains {catalog.skills[index].title}, a goal: mastery believed {mastery[index]:.0%}.")
    if not wanted:
        said.append("None of its skills is a goal of the role.")
    chance = float(observer.tracer.predict_at(record.belief, torch.tensor([activity]))[0])
    said.append(f"The chance of a right answer is about {chance:.0%}.")
    said.append(f"It takes about {chosen.minutes:g} minutes; {int(observation.mask[0].sum())} activities are allowed now.")
    return tuple(said)

