"""Prometheus itself reads the portal, and finds no fault with names, rules and dashboard."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import aiohttp
import pytest
import yaml
from fakes.bus import state
from parts.fleet_broker import fleet as fleet_with_broker
from parts.portal import portal
from parts.prometheus import prometheus, promtool

from agent.errors import PortalError
from agent.model.sections import SectionsMessage
from agent.model.signal import Release, StreamInfo
from agent.portal.api.metrics import Metrics

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "agent" / "portal" / "monitoring"
TOKEN = "0123456789abcdef" * 4
PATIENCE_S = 30.0
PLAN = {"since": "2027-01-01", "used_bytes": 9, "cap_bytes": 10, "is_exceeded": False}


def fleet(part):
    """One camera that says all there is, and one that says little."""
    streams = (StreamInfo("main", 1280, 720, 30.0, 2_000_000),)
    part.gateway.on_state("front", state(camera="live", viewers=2, streams=streams, release=Release()))
    part.gateway.on_sections("front", SectionsMessage("boot-1", 0, {"plan": PLAN}))
    part.gateway.on_state("yard", state(online=False))


async def ask(part, **headers):
    async with aiohttp.ClientSession() as http, http.get(f"{part.url}/metrics", headers=headers) as answer:
        return answer.status, await answer.read()


async def test_promtool_finds_no_fault_with_what_is_told():
    async with portal() as part:
        fleet(part)
        status, text = await ask(part)
        assert (status, b'pinhole_plan_used_bytes{device="front"} 9' in text) == (200, True)
        assert promtool("check", "metrics", said=text) == ""
        part.gateway.on_revoked("front")
        async with asyncio.timeout(PATIENCE_S):  # what is told is made anew once a second at most
            while b'device="front"' in (await ask(part))[1]:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=203.0.113.7"},
        {"Host": "cams.example.org"},
        {"Host": "evil.example:8080"},
        {"Host": "[::1"},
    ],
)
async def test_without_a_token_who_comes_by_a_proxy_or_a_foreign_name_is_told_nothing(headers):
    async with portal() as part:
        assert (await ask(part))[0] == 200
        status, body = await ask(part, **headers)
        assert (status in (400, 403), b"pinhole_" in body) == (True, False)


async def test_where_there_is_a_token_it_is_what_counts():
    async with portal(metrics_token=TOKEN) as part:
        for said in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {TOKEN[:-1]}"}):
            status, body = await ask(part, **said)
            assert (status, b"pinhole_" in body) == (401, False)
        status, _ = await ask(part, Authorization=f"Bearer {TOKEN}", **{"X-Forwarded-For": "203.0.113.7"})
        assert status == 200


def test_a_token_that_could_be_guessed_is_refused():
    with pytest.raises(PortalError, match="openssl rand"):
        Metrics(None, lambda: None, "hunter2")


async def test_prometheus_scrapes_a_portal_as_the_readme_says(tmp_path):
    (snippet,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "agent/portal/README.md").read_text(), re.DOTALL)
    config = yaml.safe_load(snippet)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (scraped,) = config["scrape_configs"]
    async with portal(metrics_token=TOKEN) as part:
        fleet(part)
        config |= {"rule_files": [str(MONITORING / "alerts.yml")], "global": {"scrape_interval": "1s"}}
        scraped |= {"scheme": "http", "static_configs": [{"targets": [f"127.0.0.1:{part.port}"]}]}
        scraped["authorization"] = {"credentials_file": str(tmp_path / "token")}
        with prometheus(tmp_path, yaml.safe_dump(config)) as url:
            async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE_S):
                # Each by itself: a scrape that comes too late takes all numbers away until the next.
                for query in ('pinhole_device_viewers{device="front"}', "count(pinhole_device_online)"):
                    while await value(http, url, query) != "2":
                        await asyncio.sleep(0.2)


async def value(http, url, query):
    try:
        async with http.get(f"{url}/api/v1/query", params={"query": query}) as answer:
            found = (await answer.json())["data"]["result"]
    except (aiohttp.ClientError, KeyError):
        return None  # it starts
    return found[0]["value"][1] if found else None


async def test_a_number_of_a_camera_comes_all_the_way_and_the_last_that_is_known_stays():
    """Camera, Mosquitto with its access rules, portal: what a state of before has no key for."""
    with fleet_with_broker() as one:
        settings = one.camera("door")
        settings.write_text(settings.read_text() + "[data_plan]\nmonthly_cap_mb = 10\n")
        one.enroll("door", one.claim())
        one.start_agent("door")
        told = 'pinhole_plan_cap_bytes{device="door"} 1e+07'
        for is_online in (1, 0):
            async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE_S):
                while True:
                    async with http.get(f"{one.url}/metrics") as answer:
                        text = await answer.text()
                    if told in text and f'pinhole_device_online{{device="door"}} {is_online}' in text:
                        break
                    await asyncio.sleep(0.2)
            if is_online:
                one.stop_agent("door")


def test_the_alerts_fire_when_they_should(tmp_path):
    shutil.copy(MONITORING / "alerts.yml", tmp_path)
    shutil.copy(ROOT / "tests" / "data" / "alerts_test.yml", tmp_path)
    promtool("check", "rules", "--lint-fatal", "alerts.yml", cwd=tmp_path)
    promtool("test", "rules", "alerts_test.yml", cwd=tmp_path)


def test_each_query_of_the_grafana_dashboard_is_one(tmp_path):
    panels = json.loads((MONITORING / "grafana.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    plain = [query.replace("$device", ".*").replace("$__rate_interval", "5m") for query in queries]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(plain)]
    written = yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]})
    (tmp_path / "queries.yml").write_text(written)
    assert f"{len(queries)} rules found" in promtool("check", "rules", "queries.yml", cwd=tmp_path)
