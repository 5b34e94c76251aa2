"""An ordinary locustfile: visitors of two parts of a web site. Nothing of chaosctl in it."""

from locust import HttpUser, constant_pacing, task


class VisitorOfA(HttpUser):
    """Asks for the part that one upstream serves."""

    weight = 3
    wait_time = constant_pacing(0.1)

    @task
    def visit(self):
        self.client.get("/a", timeout=5)


class VisitorOfB(HttpUser):
    """Asks for the part that the other one serves."""

    wait_time = constant_pacing(0.1)

    @task
    def visit(self):
        self.client.get("/b", timeout=5)
