"""The studies of a cluster: queued by whoever submits them, taken up by the coordinator, watched by everybody."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, or_, select, update

from convergence_cluster.domain.errors import Conflict
from convergence_cluster.domain.identity import StudyId
from convergence_cluster.storage.database import Database
from convergence_cluster.storage.schema import LOCAL_OWNER, progress, studies
from convergence_cluster.storage.studies import Placement, StudyState

CANCEL = "cancel"
_OPEN = (StudyState.QUEUED.value, StudyState.RUNNING.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A study that waits for the coordinator, or is at work."""

    study: StudyId
    state: StudyState
    request: str | None


class Submissions:
    """What is asked of a coordinator, and what it tells of its work. For one owner."""

    def __init__(self, database: Database, *, owner: str = LOCAL_OWNER) -> None:
        self._database = database
        self._owner = owner

    def open(self) -> tuple[Submission, ...]:
        """Return the studies of the cluster that are queued, running, or of which something is asked, oldest first."""
        query = (
            select(studies.c.id, studies.c.state, studies.c.request)
            .where(studies.c.owner == self._owner, studies.c.placement == Placement.CLUSTER.value)
            .where(or_(studies.c.state.in_(_OPEN), studies.c.request.is_not(None)))
            .order_by(studies.c.created_at_s, studies.c.id)
        )
        with self._database.read() as connection:
            return tuple(
                Submission(study=StudyId(row.id), state=StudyState(row.state), request=row.request)
                for row in connection.execute(query)
            )

    def counts(self) -> dict[str, int]:
        """Return how many studies of the cluster are in each state, those with none included."""
        query = (
            select(studies.c.state, func.count())
            .where(studies.c.owner == self._owner, studies.c.placement == Placement.CLUSTER.value)
            .group_by(studies.c.state)
        )
        with self._database.read() as connection:
            found = {state: int(n) for state, n in connection.execute(query)}
        return {state.value: found.get(state.value, 0) for state in StudyState}

    def queue(self, study: str, *, spec_json: str | None = None, now_s: float) -> None:
        """Let the coordinator take up a study again, where given with the budget and pace of another `spec_json`.

        Raises:
            Conflict: it is at work, or it does not belong to a cluster.
        """
        values: dict[str, object] = {"state": StudyState.QUEUED.value, "updated_at_s": now_s, "request": None}
        if spec_json is not None:
            values["spec_json"] = spec_json
        change = (
            update(studies)
            .where(studies.c.id == study, studies.c.owner == self._owner)
            .where(studies.c.placement == Placement.CLUSTER.value, studies.c.state.not_in(_OPEN))
            .values(values)
        )
        with self._database.write() as connection:
            n_changed = connection.execute(change).rowcount
        if n_changed == 0:
            raise Conflict(f"Study {study} is queued or running already; follow it with: convergence watch {study}")

    def ask(self, study: str, request: str | None) -> None:
        """Note what the coordinator is to do with a study; None: it is done."""
        change = update(studies).where(studies.c.id == study, studies.c.owner == self._owner).values(request=request)
        with self._database.write() as connection:
            connection.execute(change)

    def show_all(self, bodies: Mapping[StudyId, str], *, now_s: float) -> None:
        """Tell how far studies are, as JSON text, in place of what was told of them before."""
        rows = [{"study": study, "owner": self._owner, "body": body, "at_s": now_s} for study, body in bodies.items()]
        with self._database.write() as connection:
            known = progress.c.study.in_(list(bodies))
            connection.execute(delete(progress).where(known, progress.c.owner == self._owner))
            connection.execute(insert(progress), rows)

    def shown(self, study: str) -> str | None:
        """Return what `show_all` told last, or None."""
        query = select(progress.c.body).where(progress.c.study == study, progress.c.owner == self._owner)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one_or_none()
