"""How to talk to an API: transport, error mapping, request bodies, answers. The only home of httpx."""
