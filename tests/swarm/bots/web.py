"""An ordinary locustfile: nothing of chaosctl in it."""

from locust import HttpUser, constant, events, task


@events.test_start.add_listener
def started(environment, **_):
    environment.started = True


class Visitor(HttpUser):
    wait_time = constant(0.02)

    @task
    def index(self):
        assert self.environment.started
        self.client.get("/")

    @task
    def missing(self):
        self.client.get("/missing")

    @task
    def cut(self):
        self.client.get("/cut")

    @task
    def slow(self):
        self.client.get("/slow", timeout=0.1)

    @task
    def broken(self):
        raise KeyError("on purpose")
