"""What is laid over a compose file, and what is refused before anything is made. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from chaosctl.deploy.compose_override import (
    Parts,
    as_yaml,
    images_needed,
    names_of,
    override,
    relay_places,
    replicas_of,
    wrong_with,
)
from chaosctl.experiment.model import Target

CONFIG: dict[str, Any] = {
    "services": {
        "db": {"image": "db:5", "networks": {"back": {"aliases": ["store"]}}, "container_name": "the-db"},
        "app": {"build": {"context": "."}, "image": "app", "ports": [{"target": 80, "published": "8080"}]},
        "job": {"image": "app", "networks": {"back": None}},
    },
    "networks": {"back": {"name": "theirs_back"}, "shared": {"name": "shared", "external": True}},
    "volumes": {"data": {"name": "chosen"}, "kept": {"name": "chaosctl-r1_kept"}},
}


def target(services: dict[str, Any], links: dict[str, Any] | None = None) -> Target:
    filled = {name: {"container_ports": {"main": 7000}, **one} for name, one in services.items()}
    return Target.model_validate({"driver": "compose", "services": filled, "links": links or {}}, by_alias=True)


def laid_over(of: Target, *, takes_away: bool = True, **parts: Any) -> Any:
    whole = {"relays": {}, "published": {}, "states": {}, "names": names_of(CONFIG), **parts}
    text = as_yaml(override(CONFIG, of, Parts("r1", "chaosctl-r1", takes_away, **whole)))
    return YAML().load(text)


def test_all_that_compose_makes_has_the_label_and_a_name_of_the_run() -> None:
    made = laid_over(target({"db": {}}))
    assert {one["labels"]["chaosctl.run"] for one in made["services"].values()} == {"r1"}
    assert made["networks"] == {
        "default": {"labels": {"chaosctl.run": "r1"}},
        "back": {"labels": {"chaosctl.run": "r1"}, "name": "chaosctl-r1_back"},
    }
    assert made["volumes"]["data"] == {"labels": {"chaosctl.run": "r1"}, "name": "chaosctl-r1_data"}
    assert "name" not in made["volumes"]["kept"]


def test_what_is_built_is_an_image_of_the_run_for_all_that_use_it() -> None:
    made = laid_over(target({"db": {}}))["services"]
    assert made["app"]["build"] == {"labels": {"chaosctl.run": "r1"}}
    assert (made["app"]["image"], made["job"]["image"]) == ("chaosctl-r1-app", "chaosctl-r1-app")
    assert (made["app"]["pull_policy"], made["job"]["pull_policy"]) == ("build", "never")
    assert "image" not in made["db"]
    assert made["db"]["pull_policy"] == "never"
    assert images_needed(CONFIG) == ("db:5",)


def test_ports_are_those_of_the_run_and_no_others() -> None:
    of = target({"db": {"replicas": 2}})
    made = laid_over(of, published={("db", "main"): (21000, 21001)})["services"]
    assert made["db"]["ports"] == ["127.0.0.1:21000-21001:7000"]
    assert made["app"]["ports"] == []
    assert {made[name]["ports"].tag.value for name in ("db", "app")} == {"!override"}
    assert made["db"]["container_name"].tag.value == "!reset"


def test_an_older_compose_is_given_nothing_that_takes_away() -> None:
    made = laid_over(target({"db": {}}), takes_away=False, published={("db", "main"): (21000,)})["services"]
    assert made["db"]["ports"] == ["127.0.0.1:21000:7000"]
    assert made["db"]["container_name"] == "chaosctl-r1-db"
    assert "ports" not in made["app"]
    assert "pull_policy" not in made["app"]


def test_clients_find_the_relay_under_every_name_of_the_service() -> None:
    of = target({"db": {}, "app": {}}, {"app-db": {"from": "app", "to": "db"}, "bots": {"to": "app"}})
    made = laid_over(of, relays={("app-db", 0): "10.1.2.1:7000"})["services"]
    assert made["app"]["extra_hosts"] == ["db:10.1.2.1", "the-db:10.1.2.1", "store:10.1.2.1"]
    assert "extra_hosts" not in made["db"]


def test_a_restart_policy_of_the_experiment_takes_the_place_of_the_files() -> None:
    made = laid_over(target({"db": {"restart": {"after": "1s"}}, "app": {}}))["services"]
    assert made["db"]["restart"] == "no"
    assert "restart" not in made["app"]


def test_a_folder_is_mounted_whatever_its_path() -> None:
    made = laid_over(target({"db": {"state": "/data"}}), states={"db": Path("/tmp/a $b: c")})["services"]
    [volume] = made["db"]["volumes"]
    assert (volume["type"], volume["source"], volume["target"]) == ("bind", "/tmp/a $$b: c", "/data")


def test_replicas_may_be_services_of_their_own() -> None:
    links = {"app-db": {"from": "app", "to": "db"}, "bots": {"to": "app"}}
    of = target({"db": {"compose_services": ["db", "job"], "state": "/s"}, "app": {}}, links)
    assert of.services["db"].replicas == 2
    assert list(wrong_with(CONFIG, of, True)) == []
    made = laid_over(
        of,
        relays={("app-db", 0): "10.1.2.1:7000", ("app-db", 1): "10.1.3.1:7000"},
        published={("db", "main"): (21000,), ("job", "main"): (21009,)},
        states={"db": Path("/0"), "job": Path("/1")},
    )["services"]
    assert made["app"]["extra_hosts"] == ["db:10.1.2.1", "the-db:10.1.2.1", "store:10.1.2.1", "job:10.1.3.1"]
    assert [made[name]["ports"] for name in ("db", "job")] == [["127.0.0.1:21000:7000"], ["127.0.0.1:21009:7000"]]
    assert [made[name]["volumes"][0]["source"] for name in ("db", "job")] == ["/0", "/1"]


def test_relays_listen_at_the_ports_own_numbers_and_where_these_collide_at_other_addresses() -> None:
    two = {"container_ports": {"main": 9, "more": 10}}
    services: dict[str, Any] = {"a": {"replicas": 2}, "b": {}, "c": two, "d": {}}
    links = {
        "d-a": {"from": "d", "to": "a"},
        "d-b": {"from": "d", "to": "b"},
        "d-c": {"from": "d", "to": "c"},
        "d-c-more": {"from": "d", "to": "c", "port": "more"},
        "bots-d": {"to": "d"},
    }
    assert relay_places(target(services, links)) == {
        ("d-a", 0): (0, 7000),
        ("d-a", 1): (1, 7000),
        ("d-b", 0): (2, 7000),
        ("d-c", 0): (0, 9),
        ("d-c-more", 0): (0, 10),
    }


@pytest.mark.parametrize(
    ("services", "config", "said"),
    [
        ({"dbb": {}}, {}, "has no service 'dbb'; it has: db, app, job"),
        ({"db": {"replicas": 1}}, {"network_mode": "host"}, "'db' uses `network_mode: host`"),
        ({"db": {}}, {"deploy": {"replicas": 3}}, "runs 3 replicas of 'db'; write `replicas: 3`"),
    ],
)
def test_what_cannot_be_made_is_said_in_a_sentence(services: dict[str, Any], config: dict[str, Any], said: str) -> None:
    changed = {**CONFIG, "services": {**CONFIG["services"], "db": {**CONFIG["services"]["db"], **config}}}
    assert said in next(wrong_with(changed, target(services), True))


def test_a_client_on_internal_networks_only_reaches_no_relay() -> None:
    of = target({"db": {}, "job": {}}, {"job-db": {"from": "job", "to": "db"}})
    assert list(wrong_with(CONFIG, of, True)) == []
    inside = {**CONFIG, "networks": {"back": {"internal": True}}}
    assert "'job' is on internal networks only" in next(wrong_with(inside, of, True))


def test_published_ports_need_a_compose_that_can_take_them_away() -> None:
    assert "use compose 2.24.4 or newer" in next(wrong_with(CONFIG, target({"db": {}}), False))
    assert list(wrong_with(CONFIG, target({"db": {}}), True)) == []


def test_replicas_are_said_in_either_way() -> None:
    assert [replicas_of(one) for one in ({}, {"scale": 2}, {"deploy": {"replicas": 3}})] == [1, 2, 3]
