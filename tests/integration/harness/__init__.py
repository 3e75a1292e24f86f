"""What the integration and fault tests are made of: processes, a throwaway sshd, servers, clients."""
