"""Who may come in, and what each may do: users, grants, sessions, share links, audit."""
