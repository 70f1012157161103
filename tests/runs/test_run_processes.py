"""The variables of a job of several processes, and the list of their hosts."""

import socket

import pytest

from genui.base.errors import MisuseError
from genui.runs.hosts import HERE, parse_hosts, passed_on
from genui.runs.processes import rank_in_job, without_job


def test_keys_do_not_stand_in_the_command_line_of_another_host() -> None:
    kept = {
        "HF_HOME": "/hf",
        "PYTHONPATH": "/lib",
        "GENUI_PLUGINS": "a.py",
        "HF_ENDPOINT": "https://hub.example",
    }
    secrets = {
        "GENUI_ALERT_URL": "https://ntfy.sh/topic",
        "GENUI_SSH": "sshpass -p x ssh",
        **dict.fromkeys(
            ("HF_TOKEN", "HF_hub_token", "GENUI_API_KEY", "HF_PAT", "HF_Auth", "NCCL_CRED",
             "CUDA_PASSPHRASE", "OMP_secret"),
            "x",
        ),
        "HF_HUB_URL": "https://me:password@hub.example",
    }  # fmt: skip
    assert passed_on({**kept, **secrets, "HOME": "/home"}) == kept


def test_variables_of_a_job_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "4"}
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    assert rank_in_job() == 1
    for name, value in (("RANK", "2"), ("MASTER_ADDR", ""), ("MASTER_PORT", "x")):
        with monkeypatch.context() as context:
            context.setenv(name, value)
            with pytest.raises(MisuseError, match="MASTER_PORT"):
                rank_in_job()


def test_only_in_a_job_its_variables_are_left_out() -> None:
    address = {"MASTER_ADDR": "10.0.0.1", "HOME": "/home"}
    assert without_job(address) == address  # of this machine, for --hosts
    assert without_job({**address, "RANK": "0", "WORLD_SIZE": "2"}) == {"HOME": "/home"}


def test_a_list_of_hosts_names_the_host_of_each_rank() -> None:
    own = socket.gethostname()
    assert parse_hosts("localhost,node2") == (HERE, "node2")
    assert parse_hosts(f"{own}:2, me@node2:3") == (HERE, HERE, "me@node2", "me@node2", "me@node2")
    assert parse_hosts("localhost,node2", 2) == (HERE, HERE, "node2", "node2")
    for text in (
        "",
        "node2",
        "node2,localhost",
        "localhost,:2",
        "localhost,b:0",
        "localhost,-oX:1",
        "localhost,::1",
        "localhost:999999999",
        "localhost," + "b:4000," * 2,
    ):
        with pytest.raises(MisuseError, match="--hosts"):
            parse_hosts(text)
