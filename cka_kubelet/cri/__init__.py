"""The container runtime's API (CRI v1): generated messages and a thin asyncio client. See README.md here."""
