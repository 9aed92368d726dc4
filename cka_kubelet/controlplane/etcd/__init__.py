"""Objects in etcd: a small client for its v3 API, the layout of the keys, and the store made of both."""
