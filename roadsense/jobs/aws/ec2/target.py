"""Jobs on EC2: each job has its own machine, which ends itself with the job or at its deadline.

A job's id is its folder in S3, `s3://bucket/prefix/jobs/<name>`: it still describes the job after its machines ended.
An interrupted job resumes when it is submitted again under the same name.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from roadsense.cloud.session import CloudError, find_owner, find_region, make_client, translate_errors
from roadsense.cloud.storage import publish_dataset
from roadsense.errors import InputError
from roadsense.jobs.aws.ec2.folder import LOG_NAME, STOP_REQUESTS, JobFolder
from roadsense.jobs.aws.ec2.launch import open_folder, plan_machine, run_machine
from roadsense.jobs.aws.ec2.machines import JOB_TAG, PLACE_TAG, Machine, list_costing, list_machines
from roadsense.jobs.aws.ec2.requests import Ec2Config, build_search, build_stop_request, read_config
from roadsense.jobs.aws.regions import list_everywhere
from roadsense.jobs.records import read_records
from roadsense.jobs.spec import JobSpec
from roadsense.jobs.target import JobState, JobStatus, Plan, UnknownJobError

FOLLOW_EVERY_S = 5.0
STOP_S = 90
WORKING = ("pending", "running", "shutting-down")
"""States of a machine that may still work on its job, or upload its results."""
NO_AGENT_CODES = ("InvalidInstanceId", "InvalidInstanceID", "UnsupportedPlatformType", "DeliveryTimedOut")


class Ec2Target:
    """Machines on EC2.

    Args:
        region: AWS region; by default the configured one.
        config: the account's settings; by default those of the environment.
    """

    def __init__(self, region: str | None = None, config: Ec2Config | None = None) -> None:
        self._region = region
        self._config = config or read_config()

    @property
    def region(self) -> str:
        """AWS region of the target."""
        return find_region(self._region)

    def plan(self, spec: JobSpec, ask: bool = False) -> Plan:
        """Returns the exact requests of `submit` and the job's highest cost; see `Target.plan`."""
        return plan_machine(replace(spec, region=spec.region or self._region), self._config, ask)

    def submit(self, plan: Plan) -> str:
        """Starts a machine for a job and returns the job's id.

        If a job with the same name and settings was stopped, interrupted or failed, it resumes from its last
        checkpoint.

        Raises:
            InputError: if a job of this name is running, is done, or has other settings.
            CloudError: if AWS does not start a machine.
        """
        folder = open_folder(plan)
        self._check_is_free(plan.spec, folder)
        if plan.local_dataset:
            publish_dataset(plan.local_dataset, plan.spec.output, folder.region)
        folder.write_spec(plan.spec)
        instance_id = run_machine(plan)
        sys.stderr.write(f"{plan.spec.name}: {instance_id}, {plan.price}\n")
        return plan.job_id

    def status(self, job_id: str) -> JobStatus:
        """Returns a job's state and its cost until now, over all its machines."""
        return self._read_status(self._find_folder(job_id))

    def logs(self, job_id: str, follow: bool) -> Iterator[str]:
        """Yields the lines of a job's log; with `follow`, until the job is over.

        The log comes through S3, about 15 s late. If it is empty, the lines of the machine's console are returned.
        """
        folder, offset, rest = self._find_folder(job_id), 0, b""
        while True:
            state = self._read_status(folder).state
            data = folder.read(LOG_NAME, offset) if state.is_over or folder.has_new_log() else b""
            offset += len(data or b"")
            *lines, rest = (rest + (data or b"")).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
            if state.is_over or not follow:
                break
            time.sleep(FOLLOW_EVERY_S)
        if rest and state.is_over:
            yield rest.decode(errors="replace")
        if offset == 0:
            yield from self._read_console(folder)

    def stop(self, job_id: str) -> None:
        """Asks a job's machine to stop it with a checkpoint; the machine then uploads everything and ends itself.

        If the machine cannot be asked, because it has just started or its role does not allow it, it is ended at once:
        at most the minute since its last uploaded checkpoint is lost.
        """
        folder = self._find_folder(job_id)
        for machine in self._machines_of(folder):
            if machine.state in ("pending", "running"):
                self._stop_machine(machine, folder)

    def fetch(self, job_id: str, folder: Path) -> Path:
        """Downloads the results of the job's last machine into a new folder, checks them, and returns the folder."""
        return self._find_folder(job_id).fetch(folder)

    def list_jobs(self, everyone: bool) -> list[JobStatus]:
        """Returns your own jobs, or all machines and disks with our tags, in all regions, that cost money now.

        Your own jobs are those with a record in this working folder, or with a machine that you started.
        """
        if everyone:
            return list_everywhere(self.region, list_costing)
        machines = list_machines(self.region, build_search(owner=find_owner()))
        found = {machine.tags[PLACE_TAG]: self.region for machine in machines if PLACE_TAG in machine.tags}
        found |= {each.job_id: each.region or self.region for each in read_records() if each.target == "ec2"}
        rows = []
        for url, region in found.items():
            with suppress(UnknownJobError):  # another account's, or its folder was deleted
                rows.append(self._read_status(JobFolder(url, region)))
        return sorted(rows, key=lambda row: row.started)

    def _read_status(self, folder: JobFolder) -> JobStatus:
        working = [machine for machine in self._machines_of(folder) if machine.state in WORKING]
        if working:
            return working[-1].read_status()
        if folder.read_spec() is None:
            raise _no_such_job(folder.url)
        return folder.read_status()

    def _check_is_free(self, spec: JobSpec, folder: JobFolder) -> None:
        """Checks that a job may get a machine.

        Raises:
            InputError: if it is running, is done, or is another job.
        """
        earlier = folder.read_spec()
        if earlier is None:
            return
        folder.check_is_same(earlier, spec)
        status = self._read_status(folder)
        if any(machine.state in WORKING for machine in self._machines_of(folder)):
            raise InputError(f"{spec.name} is running ({status.phase}). Stop it first, or give another name.")
        if status.state == JobState.DONE:
            raise InputError(f"{spec.name} is done: fetch it from {folder.url}, or give another name.")

    def _machines_of(self, folder: JobFolder) -> list[Machine]:
        return list_machines(folder.region, [{"Name": f"tag:{PLACE_TAG}", "Values": [folder.url]}])

    def _find_folder(self, job_id: str) -> JobFolder:
        """Returns the folder of a job by its S3 URL, its name or the id of one of its machines."""
        if job_id.startswith("s3://"):
            return JobFolder(job_id.rstrip("/"), self.region)
        name = {"Name": "instance-id" if job_id.startswith("i-") else f"tag:{JOB_TAG}", "Values": [job_id]}
        urls = {machine.tags.get(PLACE_TAG, "") for machine in list_machines(self.region, [name])} - {""}
        if len(urls) != 1:
            raise _no_such_job(job_id)
        return JobFolder(urls.pop(), self.region)

    def _stop_machine(self, machine: Machine, folder: JobFolder) -> None:
        try:
            with translate_errors():
                make_client("ssm", machine.region).send_command(**build_stop_request(machine.instance_id, STOP_S))
        except CloudError as error:
            if error.code not in NO_AGENT_CODES:
                raise
            sys.stderr.write(f"{machine.instance_id} cannot be asked ({error.code}), so it is ended at once.\n")
            folder.write(f"{STOP_REQUESTS}/{machine.instance_id}", b"")
            with translate_errors():
                make_client("ec2", machine.region).terminate_instances(InstanceIds=[machine.instance_id])

    def _read_console(self, folder: JobFolder) -> Iterator[str]:
        for machine in self._machines_of(folder)[-1:]:
            with translate_errors():
                answer = make_client("ec2", machine.region).get_console_output(InstanceId=machine.instance_id)
            yield from answer.get("Output", "").splitlines()


def _no_such_job(job_id: str) -> UnknownJobError:
    return UnknownJobError(
        f"Expected a job on EC2 by its S3 URL, its name or a machine's id, found none for {job_id!r}. A name is known "
        "for about an hour after the last machine has ended; the URL always works."
    )
