package bootstrap

import (
	"maps"
	"slices"
)

// deploy is the command that makes or updates a stack from a template that was saved as <account>.<format>.
func deploy(account Account, format Format, stack, region string, tags map[string]string) []string {
	args := []string{
		"aws", "cloudformation", "deploy",
		"--stack-name", stack,
		"--template-file", string(account) + "." + string(format),
		"--capabilities", "CAPABILITY_NAMED_IAM",
		"--region", region,
	}
	if len(tags) > 0 {
		args = append(args, "--tags")
		for _, key := range slices.Sorted(maps.Keys(tags)) {
			args = append(args, key+"="+tags[key])
		}
	}
	return args
}

// whyFirst is the reason for the order.
const whyFirst = "IAM refuses a trust policy that names a role which does not exist yet, so this comes first. " +
	"Do not delete it while others trust it: a role made anew under the same name is another one to them"

// commands deploys everything that the file speaks of, the management account first.
func (o *ownConfig) commands(format Format) []Command {
	var all []Command
	if m := o.Management; m != nil {
		all = append(all, Command{
			Account: m.AccountID,
			Note:    "management account: " + whyFirst,
			Args:    deploy(Management, format, o.StackName+"-"+string(Management), o.Region, o.Tags),
		})
	}
	if o.Target == nil {
		return all
	}
	note := "target account"
	if o.Management == nil {
		note = "target account, after the management account: the roles that it trusts have to exist"
	}
	for _, account := range o.targetAccounts() {
		all = append(all, Command{
			Account: account, Note: note,
			Args: deploy(Target, format, o.StackName+"-"+string(Target), o.Region, o.Tags),
		})
	}
	return all
}

// targetAccounts are the accounts that the template for targets is deployed in; one without a name if the file
// names none.
func (o *ownConfig) targetAccounts() []string {
	var all []string
	if o.Management != nil {
		for _, a := range o.Management.Targets {
			all = append(all, a.AccountID)
		}
	}
	if id := o.Target.AccountID; !slices.Contains(all, id) && (id != "" || len(all) == 0) {
		all = append(all, id)
	}
	return all
}
