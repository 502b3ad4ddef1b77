package guard

// ManagerUnbounded is an error as Policies give it where the policy of the manager alone is not in force.
func ManagerUnbounded(err error) error { return managerUnbounded{err} }
