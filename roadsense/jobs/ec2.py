"""Jobs on EC2: a machine each, which ends itself when the job does, or at its deadline.

A job's id is its folder in S3, `s3://bucket/prefix/jobs/<name>`: it tells everything about the job long after its
machines have gone. A job that was interrupted is gone on with by submitting it under the same name.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from roadsense.cloud.session import CloudError, find_owner, find_region, make_client, translate_errors
from roadsense.cloud.storage import publish_dataset
from roadsense.errors import InputError
from roadsense.jobs.ec2_machines import JOB_TAG, PLACE_TAG, Machine, list_costing_anywhere, list_machines
from roadsense.jobs.ec2_place import JobPlace
from roadsense.jobs.ec2_plan import Plan, plan_job
from roadsense.jobs.ec2_results import Outcome, fetch_results, read_outcome
from roadsense.jobs.ec2_start import run_machine
from roadsense.jobs.launch import Ec2Config, build_search, build_stop_request, read_config, write_time
from roadsense.jobs.spec import JobSpec
from roadsense.jobs.target import JobState, JobStatus

FOLLOW_EVERY_S = 5.0
STOP_S = 90
WORKING = ("pending", "running", "shutting-down")
"""States of a machine that may still be at its job, or bring its results away."""
NO_AGENT_CODES = ("InvalidInstanceId", "InvalidInstanceID", "UnsupportedPlatformType", "DeliveryTimedOut")


class Ec2Target:
    """Machines on EC2.

    Args:
        region: of AWS; by default the configured one.
        config: the account's settings; by default those of the environment.
    """

    def __init__(self, region: str | None = None, config: Ec2Config | None = None) -> None:
        self._region = region
        self._config = config or read_config()

    @property
    def region(self) -> str:
        """The region it works in."""
        return find_region(self._region)

    def describe_request(self, spec: JobSpec) -> dict[str, Any]:
        """Returns the exact requests of `submit` and what the job costs at most; nothing is asked or sent."""
        return self._plan(spec).describe()

    def submit(self, spec: JobSpec) -> str:
        """Starts a machine for a job and returns the job's id.

        Under the name of a job that was stopped, interrupted or has failed, and with its settings, it goes on from its
        last checkpoint.

        Raises:
            InputError: if a job of this name is at work, is done, or is another one.
            CloudError: if AWS starts no machine.
        """
        plan = self._plan(spec, ask=True)
        plan = plan.again(self._count_machines(plan))
        self._bring_up(plan)
        instance_id = run_machine(plan)
        sys.stderr.write(f"{plan.spec.name}: {instance_id}, {plan.estimate or 'price unknown'}\n")
        return plan.place.url

    def resume(self, job_id: str) -> str:
        """Goes on with a job on another machine, as it was submitted, and returns its id."""
        place = self._find_place(job_id)
        spec = place.read_spec()
        if spec is None:
            raise _no_such_job(job_id)
        return self.submit(spec)

    def status(self, job_id: str) -> JobStatus:
        """Returns what a job is doing and what it has cost until now, over all of its machines."""
        place = self._find_place(job_id)
        working = [machine for machine in self._machines_of(place) if machine.state in WORKING]
        if working:
            return working[-1].read_status()
        if place.read_spec() is None:
            raise _no_such_job(job_id)
        return self._describe_outcome(place, read_outcome(place))

    def logs(self, job_id: str, follow: bool) -> Iterator[str]:
        """Yields the lines of a job's log; with `follow`, those to come until it is over.

        The log comes by S3, some 15 s late. Before its first lines are there, what the machine's console shows is said.
        """
        place, offset, rest = self._find_place(job_id), 0, b""
        while True:
            is_over = not follow or self.status(place.url).state.is_over
            data = place.read("run.log", offset)
            offset += len(data or b"")
            *lines, rest = (rest + (data or b"")).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
            if is_over:
                break
            time.sleep(FOLLOW_EVERY_S)
        if rest:
            yield rest.decode(errors="replace")
        if offset == 0:
            yield from self._read_console(place)

    def stop(self, job_id: str) -> None:
        """Asks a job's machine to end it with a checkpoint; the machine then brings everything up and ends itself.

        A machine that cannot be asked, since it has only just started or its role does not allow it, is ended at once:
        what is lost is at most the minute since its last checkpoint went up.
        """
        place = self._find_place(job_id)
        for machine in self._machines_of(place):
            if machine.state in ("pending", "running"):
                self._stop_machine(machine)

    def fetch(self, job_id: str, folder: Path) -> Path:
        """Brings what the job's last machine left into a new folder, checks it, and returns the folder."""
        return fetch_results(self._find_place(job_id), folder)

    def list_jobs(self, everyone: bool) -> list[JobStatus]:
        """Returns one's own machines of this region, or all that we tagged in any region and that costs money now."""
        if everyone:
            return list_costing_anywhere(self.region)
        mine = list_machines(self.region, build_search("roadsense", owner=find_owner()))
        return [machine.read_status() for machine in mine]

    def _plan(self, spec: JobSpec, ask: bool = False) -> Plan:
        return plan_job(replace(spec, region=spec.region or self._region), self._config, ask)

    def _count_machines(self, plan: Plan) -> int:
        """Checks that a job may get a machine, and returns how many it has had."""
        earlier = plan.place.read_spec()
        if earlier is None:
            return 0
        plan.place.check_is_same(earlier, plan.spec)
        status = self.status(plan.place.url)
        if self._is_at_work(plan.place):
            raise InputError(f"{plan.spec.name} is at work ({status.phase}). Stop it first, or give another name.")
        if status.state == JobState.DONE:
            raise InputError(f"{plan.spec.name} is done: fetch it from {plan.place.url}, or give another name.")
        return len(plan.place.read_attempts())

    def _bring_up(self, plan: Plan) -> None:
        if plan.folder:
            publish_dataset(plan.folder, plan.spec.output, plan.place.region)
        plan.place.write_spec(plan.spec)

    def _is_at_work(self, place: JobPlace) -> bool:
        return any(machine.state in WORKING for machine in self._machines_of(place))

    def _machines_of(self, place: JobPlace) -> list[Machine]:
        return list_machines(place.region, [{"Name": f"tag:{PLACE_TAG}", "Values": [place.url]}])

    def _find_place(self, job_id: str) -> JobPlace:
        """Returns the place of a job by its S3 URL, its name or the id of one of its machines."""
        if job_id.startswith("s3://"):
            return JobPlace(job_id.rstrip("/"), self.region)
        name = {"Name": "instance-id" if job_id.startswith("i-") else f"tag:{JOB_TAG}", "Values": [job_id]}
        urls = {machine.tags.get(PLACE_TAG, "") for machine in list_machines(self.region, [name])} - {""}
        if len(urls) != 1:
            raise _no_such_job(job_id)
        return JobPlace(urls.pop(), self.region)

    def _describe_outcome(self, place: JobPlace, outcome: Outcome) -> JobStatus:
        costs = [attempt.usd for attempt in outcome.attempts]
        ended = outcome.attempts[-1].ended if outcome.attempts else None
        return JobStatus(
            job_id=place.url,
            name=place.name,
            target="ec2",
            state=outcome.state,
            phase=f"{len(costs)} machine{'' if len(costs) == 1 else 's'}",
            reason=outcome.reason,
            started=write_time(outcome.attempts[0].started) if outcome.attempts else "",
            ended=write_time(ended) if ended else "",
            usd=sum(cost for cost in costs if cost is not None) if any(cost is not None for cost in costs) else None,
            output=place.url,
        )

    def _stop_machine(self, machine: Machine) -> None:
        try:
            with translate_errors():
                make_client("ssm", machine.region).send_command(**build_stop_request(machine.instance_id, STOP_S))
        except CloudError as error:
            if error.code not in NO_AGENT_CODES:
                raise
            sys.stderr.write(f"{machine.instance_id} cannot be asked ({error.code}), so it is ended at once.\n")
            with translate_errors():
                make_client("ec2", machine.region).terminate_instances(InstanceIds=[machine.instance_id])

    def _read_console(self, place: JobPlace) -> Iterator[str]:
        for machine in self._machines_of(place)[-1:]:
            with translate_errors():
                answer = make_client("ec2", machine.region).get_console_output(InstanceId=machine.instance_id)
            yield from answer.get("Output", "").splitlines()


def _no_such_job(job_id: str) -> InputError:
    return InputError(
        f"Expected a job on EC2 by its S3 URL, its name or a machine's id, found none for {job_id!r}. A name is known "
        "for about an hour after the last machine has gone; the URL for ever."
    )
