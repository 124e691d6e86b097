from tests.simulator.cloud_api.helpers import simulating


async def test_they_are_listed_while_they_last_and_after() -> None:
    async with simulating() as api:
        begun = (await api.control("POST", "outages", {"shape": "reset", "seconds": 60})).json
        assert begun["ends_at"] - begun["begins_at"] == 60_000
        assert (await api.control("GET", "outages")).json == [begun]
        assert (await api.control("DELETE", "outages")).json == {"ended": 1}
        [over] = (await api.control("GET", "outages")).json
        assert over["ends_at"] < begun["ends_at"]


async def test_one_is_ended_by_its_id() -> None:
    async with simulating() as api:
        first = (await api.control("POST", "outages", {"shape": "html_502"})).json
        await api.control("POST", "outages", {"shape": "html_200"})
        ended = await api.control("DELETE", f"outages?id={first['id']}")
        assert ended.json == {"ended": 1}
        assert (await api.send()).status == 200
        assert (await api.control("DELETE", "outages?id=x")).status == 400


async def test_an_order_that_makes_no_sense_is_refused() -> None:
    async with simulating() as api:
        answer = await api.control("POST", "outages", {"shape": "unheard_of"})
        assert answer.status == 400
        assert "html_502" in answer.json["error"]
