"""Placement groups of trials that were stopped: Ray keeps them, with their processors and GPUs, until the search ends.

Ray Train removes the group of a trial that ends by itself. One that is stopped, by ASHA or with its machine, leaves it
behind (https://github.com/ray-project/ray/issues/54305).
"""

from __future__ import annotations

import time
from typing import Any

_EVERY_S = 0.5


class AbandonedGroups:
    """Gives back the placement groups whose maker is dead."""

    def __init__(self) -> None:
        self._next = 0.0

    def remove(self) -> None:
        """Look for them, unless the last look was a moment ago."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_S
        import ray
        from ray._private.state import state
        from ray.core.generated import gcs_pb2
        from ray.util.placement_group import PlacementGroup, remove_placement_group

        messages: Any = gcs_pb2  # `ray.util.placement_group_table` leaves out who has made them
        accessor: Any = state._connect_and_get_accessor()
        job = ray.get_runtime_context().get_job_id()
        for text in accessor.get_placement_group_table():
            group = messages.PlacementGroupTableData.FromString(text)
            is_left = group.creator_actor_dead and group.state != messages.PlacementGroupTableData.REMOVED
            by_actor = not ray.ActorID(group.creator_actor_id).is_nil()  # those of Ray Tune are made by this process
            if is_left and by_actor and group.creator_job_id.hex() == job:
                remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))
