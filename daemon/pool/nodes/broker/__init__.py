"""Orders to nodes over RabbitMQ, carried by Celery."""
