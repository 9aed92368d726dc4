"""A small SSH server for tests: real paramiko on both ends, commands run by the local shell."""

import contextlib
import socket
import subprocess
import threading
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def new_key(path: Path) -> paramiko.Ed25519Key:
    """A fresh ed25519 key in OpenSSH's format at `path`."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    path.write_bytes(pem)
    return paramiko.Ed25519Key.from_private_key_file(str(path))


class _Interface(paramiko.ServerInterface):
    def __init__(self, allowed: paramiko.PKey) -> None:
        self.allowed = allowed

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key == self.allowed else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=_run, args=(channel, command.decode()), daemon=True).start()
        return True


def _run(channel: paramiko.Channel, command: str) -> None:
    with (
        subprocess.Popen(
            ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as program,
        contextlib.suppress(OSError),
    ):

        def feed() -> None:
            assert program.stdin
            with contextlib.suppress(OSError):
                while data := channel.recv(65536):
                    program.stdin.write(data)
                program.stdin.close()

        def carry_stderr() -> None:
            assert program.stderr
            with contextlib.suppress(OSError):
                while data := program.stderr.read1(65536):
                    channel.sendall_stderr(data)

        threading.Thread(target=feed, daemon=True).start()
        errors = threading.Thread(target=carry_stderr, daemon=True)
        errors.start()
        assert program.stdout
        while data := program.stdout.read1(65536):
            channel.sendall(data)
        errors.join()
        channel.send_exit_status(program.wait())
        channel.close()


class Sshd:
    """Listens on 127.0.0.1:`port` with `host_key` (`type base64`); accepts `client_key_file`."""

    def __init__(self, tmp_path: Path) -> None:
        self._key = new_key(tmp_path / "host_key")
        self.client_key_file = tmp_path / "id_ed25519"
        self._allowed = new_key(self.client_key_file)
        self.host_key = f"{self._key.get_name()} {self._key.get_base64()}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.transports: list[paramiko.Transport] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                transport = paramiko.Transport(client)
                transport.daemon = True
                transport.add_server_key(self._key)
                self.transports.append(transport)
                with contextlib.suppress(paramiko.SSHException, EOFError):
                    transport.start_server(server=_Interface(self._allowed))

    def drop_connections(self) -> None:
        """Cut every connection, as a restarting node does."""
        for transport in self.transports:
            transport.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which would otherwise keep the port open
        self._listener.close()
        self.drop_connections()
