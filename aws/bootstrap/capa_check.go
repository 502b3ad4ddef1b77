package bootstrap

import (
	"fmt"
	"regexp"
	"slices"
)

var (
	namePartPattern  = regexp.MustCompile(`^[\w+=,.@-]{0,48}$`)
	userNamePattern  = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	groupNamePattern = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	profilePattern   = regexp.MustCompile(`^[\w+=,.@/*-]{1,512}$`)
	aliasPattern     = regexp.MustCompile(`^[\w/*-]{1,250}$`)
)

// notRendered refuses what only clusterawsadm makes.
func (c *checker) notRendered(path string, set bool, why string) {
	if !set {
		return
	}
	if why != "" {
		why = " (" + why + ")"
	}
	c.add(path, "not rendered by hawser%s: use clusterawsadm, or leave it out", why)
}

// checkCAPA looks at a whole spec, after its defaults.
func (c *checker) checkCAPA(s *capaSpec) {
	s.Partition, s.Region = c.checkPartition("spec.partition", s.Partition, "spec.region", s.Region)
	c.matches("spec.namePrefix", s.NamePrefix, namePartPattern, "the beginning of a name")
	c.matches("spec.nameSuffix", *s.NameSuffix, namePartPattern, "the end of a name")
	for _, name := range []string{"controllers", "control-plane", "nodes", "controllers-eks"} {
		if full := s.name(name); len(full) > 64 {
			c.add("spec.namePrefix", "the name %s has %d characters, and IAM takes 64", full, len(full))
		}
	}
	c.matches("spec.stackName", s.StackName, stackNamePattern, "the name of a stack: a letter, then up to 99 letters, digits and dashes")
	c.checkTags("spec.stackTags", s.StackTags)
	for i, backend := range s.SecureSecretBackends {
		if !slices.Contains([]secretBackend{secretsManager, ssmParameterStore}, backend) {
			c.add(fmt.Sprintf("spec.secureSecretBackends[%d]", i), "there is no %q: there is %s and %s", backend, secretsManager, ssmParameterStore)
		}
	}
	if s.S3Buckets != nil {
		c.notRendered("spec.s3Buckets.enable", s.S3Buckets.Enable, "")
		c.notRendered("spec.s3Buckets.namePrefix", s.S3Buckets.NamePrefix != "", "")
	}
	c.notRendered("spec.eventBridge.enable", s.EventBridge.Enable, "")
	c.notRendered("spec.allowAssumeRole", s.AllowAssumeRole,
		"it also lets control plane nodes and the bootstrap user assume roles in every account; clusterAPIControllers.extraStatements can name the accounts")
	c.notRendered("spec.controlPlane.enableCSIPolicy", s.ControlPlane.EnableCSIPolicy, "")
	c.notRendered("spec.eks.enableUserEKSConsolePolicy", s.EKS.EnableUserEKSConsolePolicy, "")
	c.checkPatterns("spec.clusterAPIControllers.allowedEC2InstanceProfiles", s.ClusterAPIControllers.AllowedEC2InstanceProfiles,
		profilePattern, "the name of a role, or a pattern with *")
	c.matches("spec.eks.kmsAliasPrefix", s.EKS.KMSAliasPrefix, aliasPattern, "the beginning of an alias")
	if s.EKS.Disable && c.anySet("spec.eks", "iamRoleCreation", "defaultControlPlaneRole", "managedMachinePool", "fargate", "kmsAliasPrefix") {
		c.add("spec.eks.disable", "nothing of EKS is made, so the other settings of the block would be lost: leave out one or the other")
	}
	c.checkUser(&s.BootstrapUser)
	for _, r := range s.roles() {
		c.checkRole(r.path, r.role)
	}
}

func (c *checker) checkPatterns(path string, all []string, pattern *regexp.Regexp, what string) {
	for i, value := range all {
		if !pattern.MatchString(value) {
			c.add(fmt.Sprintf("%s[%d]", path, i), "%q is not %s", value, what)
		}
	}
}

func (c *checker) checkRole(path string, r *capaRole) {
	c.checkPatterns(path+".extraPolicyAttachments", r.ExtraPolicyAttachments, policyARNPattern, "the ARN of a policy")
	c.checkStatements(path+".extraStatements", r.ExtraStatements, false)
	c.checkStatements(path+".trustStatements", r.TrustStatements, true)
	c.matches(path+".path", r.Path, pathPattern, "a path: it begins and ends with a slash")
	c.matches(path+".permissionsBoundary", r.PermissionsBoundary, policyARNPattern, "the ARN of a policy")
	c.checkTags(path+".tags", r.Tags)
	if settings := r.Path != "" || r.PermissionsBoundary != "" || len(r.Tags)+len(r.ExtraPolicyAttachments)+len(r.ExtraStatements)+len(r.TrustStatements) > 0; r.Disable && settings {
		c.add(path+".disable", "the role is not made, so its other settings would be lost: leave out one or the other")
	}
}

func (c *checker) checkUser(u *capaUser) {
	const path = "spec.bootstrapUser"
	c.matches(path+".userName", u.UserName, userNamePattern, "the name of a user")
	c.matches(path+".groupName", u.GroupName, groupNamePattern, "the name of a group")
	c.checkPatterns(path+".extraPolicyAttachments", u.ExtraPolicyAttachments, policyARNPattern, "the ARN of a policy")
	c.checkPatterns(path+".extraGroups", u.ExtraGroups, groupNamePattern, "the name of a group")
	c.checkStatements(path+".extraStatements", u.ExtraStatements, false)
	c.checkTags(path+".tags", u.Tags)
	if !u.Enable && c.anySet(path, "userName", "groupName", "extraPolicyAttachments", "extraGroups", "extraStatements", "tags") {
		c.add(path, "the user is not made without enable: true, so its other settings would be lost")
	}
}

// anySet reports whether the file has any of the fields.
func (c *checker) anySet(path string, fields ...string) bool {
	return slices.ContainsFunc(fields, func(field string) bool { return c.file.lines[path+"."+field] > 0 })
}
