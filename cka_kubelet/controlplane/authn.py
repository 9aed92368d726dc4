"""Who is asking: client certificate, service account token, or anonymous."""

import base64
import datetime
import hmac
import re
import time
from collections.abc import Callable

from cka_kubelet.controlplane.registry import User
from cka_kubelet.controlplane.store import Store
from cka_kubelet.controlplane.tokens import LEGACY_AUDIENCE, TokenError, TokenSigner
from cka_kubelet.kube import apistatus, klog
from cka_kubelet.kube.httpserver import Request

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
MASTER = User("system:apiserver", ("system:masters", "system:authenticated"))
_BOOTSTRAP = re.compile(r"^([a-z0-9]{6})\.([a-z0-9]{16})$")
_AUTHENTICATED = "system:authenticated"


class Authenticator:
    """Certificates first, then bearer tokens; no credentials at all is anonymous. Bad credentials are 401.

    `anonymous`, `bootstrap`: --anonymous-auth and --enable-bootstrap-token-auth.
    """

    def __init__(
        self,
        store: Store,
        signer: TokenSigner | None,
        now: Callable[[], float] = time.time,
        *,
        anonymous: bool = True,
        bootstrap: bool = True,
    ) -> None:
        self._anonymous = anonymous
        self._bootstrap = bootstrap
        self._store = store
        self._signer = signer
        self._now = now

    def authenticate(self, request: Request) -> User:
        """The user behind a request. Raises StatusError (401)."""
        if request.peer is not None and request.peer.cn:
            return User(request.peer.cn, (*request.peer.organizations, _AUTHENTICATED))
        scheme, _, token = request.header("authorization").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            try:
                bootstrap = _BOOTSTRAP.match(token.strip())
                if bootstrap and self._bootstrap:
                    return self._user_of_bootstrap_token(bootstrap[1], bootstrap[2])
                return self.user_of_token(token.strip(), [LEGACY_AUDIENCE])[0]
            except TokenError as error:
                self._complain(str(error))
                raise apistatus.unauthorized() from error
        if request.bad_certificate:
            self._complain(request.bad_certificate)
            raise apistatus.unauthorized()
        if not self._anonymous:
            raise apistatus.unauthorized()
        return ANONYMOUS

    def _complain(self, why: str) -> None:
        klog.error("authentication.go:75", "Unable to authenticate the request", err=f"[{why}]")

    def _user_of_bootstrap_token(self, token_id: str, secret: str) -> User:
        """The user behind a kubeadm token, which is a secret in kube-system. Raises TokenError."""
        found = self._store.get("secrets", "kube-system", f"bootstrap-token-{token_id}")
        if found is None or found.get("type") != "bootstrap.kubernetes.io/token":
            raise TokenError("invalid bearer token")
        data = {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}
        right = hmac.compare_digest(data.get("token-secret", "").encode(), secret.encode())
        if not right or data.get("usage-bootstrap-authentication") != "true":
            raise TokenError("invalid bearer token")
        expires = data.get("expiration", "")
        if expires and datetime.datetime.fromisoformat(expires.replace("Z", "+00:00")).timestamp() < self._now():
            raise TokenError("invalid bearer token")
        extra = tuple(group for group in data.get("auth-extra-groups", "").split(",") if group)
        return User(f"system:bootstrap:{token_id}", ("system:bootstrappers", *extra, _AUTHENTICATED))

    def user_of_token(self, token: str, audiences: list[str]) -> tuple[User, list[str]]:
        """The service account behind a token and the audiences that fit. Raises TokenError."""
        if self._signer is None:
            raise TokenError("invalid bearer token")
        claims = self._signer.verify(token, self._now())
        fitting = [audience for audience in claims.get("aud") or [] if audience in audiences]
        if audiences and not fitting:
            raise TokenError("token audiences do not match")
        private = claims.get("kubernetes.io") or {}
        namespace, account = str(private.get("namespace", "")), private.get("serviceaccount") or {}
        name, uid = str(account.get("name", "")), str(account.get("uid", ""))
        found = self._store.get("serviceaccounts", namespace, name)
        if found is None or found["metadata"]["uid"] != uid:
            raise TokenError("service account token has been invalidated")
        pod = private.get("pod")
        if pod is not None:
            bound = self._store.get("pods", namespace, str(pod.get("name", "")))
            if bound is None or bound["metadata"]["uid"] != pod.get("uid"):
                raise TokenError("service account token has been invalidated")
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", _AUTHENTICATED)
        return User(f"system:serviceaccount:{namespace}:{name}", groups, uid), fitting
