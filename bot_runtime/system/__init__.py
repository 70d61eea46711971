"""The process among its neighbours: the service manager that started it, the machine that it runs on."""
