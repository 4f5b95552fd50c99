"""Tests against real brokers: RabbitMQ and ActiveMQ Classic, started by the tests themselves."""
