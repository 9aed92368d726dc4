"""crictl for nodes that cannot have upstream's: same commands, flags, columns, messages and exit codes.

What it says and does follows cri-tools 1.36 and what that was seen to print (github.com/kubernetes-sigs/cri-tools).
"""
