"""Wake-ups carry ids and nothing else."""

import dataclasses
from typing import Any

import pytest

from contracts import jobs
from contracts.effects import EffectKind
from contracts.jobs import Job, Lane, Queue


def test_each_lane_has_its_own_queue() -> None:
    assert jobs.drain(Lane.MESSAGES) == Job(Queue.MESSAGES, "drain_messages", ())
    assert jobs.drain(Lane.STATUSES) == Job(Queue.STATUSES, "drain_statuses", ())


def test_a_campaign_is_named_by_its_ids() -> None:
    assert jobs.send_campaign("v", "c") == Job(Queue.CAMPAIGNS, "send_campaign", ("v", "c"))


def test_a_flood_of_statuses_is_not_in_the_way_of_messages() -> None:
    made = [
        *map(jobs.drain, Lane),
        jobs.send_campaign("v", "c"),
        jobs.do_effects(EffectKind.FORWARD, "v"),
    ]
    assert len({job.queue for job in made}) == len({job.actor for job in made}) == len(made)
    assert {job.queue for job in made} == set(Queue)


def test_a_job_does_not_change() -> None:
    job: Any = jobs.drain(Lane.MESSAGES)
    with pytest.raises(dataclasses.FrozenInstanceError):
        job.actor = "other"
