package bootstrap

import (
	"cmp"
	"slices"
)

// The permissions that Cluster API Provider AWS and the AWS cloud provider need, by its documentation
// ("IAM Permissions"), ordered by service. Unlike there, ARNs are of the stack's own partition and, where the
// resource is the account's own, of its account.

// own is an ARN in the stack's partition and account.
func own(service, resource string) string {
	return sub("arn:${AWS::Partition}:%s:*:${AWS::AccountId}:%s", service, resource)
}

// ownIAM is the same for IAM, which has no regions.
func ownIAM(resource string) string {
	return sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:%s", resource)
}

// awsManaged is a policy that AWS keeps.
func awsManaged(name string) string { return sub("arn:${AWS::Partition}:iam::aws:policy/%s", name) }

// serviceLinked allows a service to make the role that it works with.
func serviceLinked(service, folder, role string) statement {
	return allow(texts{ownIAM("role/aws-service-role/" + folder + "/" + role)}, "iam:CreateServiceLinkedRole").
		under("StringLike", "iam:AWSServiceName", service)
}

var everything = texts{"*"}

// controllersPolicy is what the controllers need for clusters on EC2.
func (s *capaSpec) controllersPolicy() document {
	all := []statement{
		allow(everything, slices.Concat(
			actions("autoscaling", `DescribeAutoScalingGroups DescribeInstanceRefreshes
				DeleteLifecycleHook DescribeLifecycleHooks PutLifecycleHook`),
			actions("ec2", `AllocateAddress AllocateIpamPoolCidr AssignIpv6Addresses AssignPrivateIpAddresses
				AssociateRouteTable AssociateVpcCidrBlock AttachInternetGateway AttachNetworkInterface
				AuthorizeSecurityGroupIngress
				CreateCarrierGateway CreateEgressOnlyInternetGateway CreateInternetGateway CreateLaunchTemplate
				CreateLaunchTemplateVersion CreateNatGateway CreateNetworkInterface CreateRoute CreateRouteTable
				CreateSecurityGroup CreateSubnet CreateTags CreateVpc CreateVpcEndpoint
				DeleteCarrierGateway DeleteEgressOnlyInternetGateway DeleteInternetGateway DeleteLaunchTemplate
				DeleteLaunchTemplateVersions DeleteNatGateway DeleteRouteTable DeleteSecurityGroup DeleteSubnet
				DeleteTags DeleteVpc DeleteVpcEndpoints
				DescribeAccountAttributes DescribeAddresses DescribeAvailabilityZones DescribeCarrierGateways
				DescribeDhcpOptions DescribeEgressOnlyInternetGateways DescribeImages DescribeInstanceTypes
				DescribeInstances DescribeInternetGateways DescribeIpamPools DescribeKeyPairs
				DescribeLaunchTemplateVersions DescribeLaunchTemplates DescribeNatGateways
				DescribeNetworkInterfaceAttribute DescribeNetworkInterfaces DescribeRouteTables
				DescribeSecurityGroups DescribeSubnets DescribeTags DescribeVolumes DescribeVpcAttribute
				DescribeVpcEndpoints DescribeVpcs
				DetachInternetGateway DetachNetworkInterface DisassociateAddress DisassociateRouteTable
				DisassociateVpcCidrBlock GetSecurityGroupsForVpc
				ModifyInstanceAttribute ModifyInstanceMetadataOptions ModifyNetworkInterfaceAttribute
				ModifySubnetAttribute ModifyVpcAttribute ModifyVpcEndpoint
				ReleaseAddress ReplaceRoute RevokeSecurityGroupEgress RevokeSecurityGroupIngress
				RunInstances TerminateInstances UnassignPrivateIpAddresses`),
			actions("elasticloadbalancing", `AddTags ApplySecurityGroupsToLoadBalancer ConfigureHealthCheck
				CreateListener CreateLoadBalancer CreateTargetGroup DeleteListener DeleteLoadBalancer
				DeleteTargetGroup DeregisterInstancesFromLoadBalancer DeregisterTargets DescribeListeners
				DescribeLoadBalancerAttributes DescribeLoadBalancers DescribeTags DescribeTargetGroups
				DescribeTargetHealth ModifyLoadBalancerAttributes ModifyTargetGroupAttributes
				RegisterInstancesWithLoadBalancer RegisterTargets RemoveTags SetSecurityGroups SetSubnets`),
			actions("tag", "GetResources"),
		)...),
		allow(texts{own("autoscaling", "autoScalingGroup:*:autoScalingGroupName/*")}, actions("autoscaling",
			`CancelInstanceRefresh CreateAutoScalingGroup CreateOrUpdateTags DeleteAutoScalingGroup DeleteTags
			StartInstanceRefresh UpdateAutoScalingGroup`)...),
		serviceLinked("autoscaling.amazonaws.com", "autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling"),
		serviceLinked("elasticloadbalancing.amazonaws.com", "elasticloadbalancing.amazonaws.com", "AWSServiceRoleForElasticLoadBalancing"),
		serviceLinked("spot.amazonaws.com", "spot.amazonaws.com", "AWSServiceRoleForEC2Spot"),
		allow(s.passedRoles(), "iam:PassRole"),
	}
	for _, backend := range s.SecureSecretBackends {
		if backend == secretsManager {
			all = append(all, allow(texts{own("secretsmanager", "secret:aws.cluster.x-k8s.io/*")},
				actions("secretsmanager", "CreateSecret DeleteSecret TagResource")...))
		} else {
			all = append(all, allow(texts{own("ssm", "parameter/cluster.x-k8s.io/*")},
				actions("ssm", "AddTagsToResource DeleteParameter PutParameter")...))
		}
	}
	return documentOf(all...)
}

// passedRoles are those that the controllers may give to machines.
func (s *capaSpec) passedRoles() texts {
	var all texts
	for _, name := range s.ClusterAPIControllers.AllowedEC2InstanceProfiles {
		all = append(all, ownIAM("role/"+name))
	}
	if len(all) > 0 {
		return all
	}
	for _, r := range []capaRole{s.ClusterAPIControllers.capaRole, s.ControlPlane.capaRole, s.Nodes.capaRole} {
		if arn := ownIAM("role" + cmp.Or(r.Path, "/") + s.name("*")); !slices.Contains(all, arn) {
			all = append(all, arn)
		}
	}
	return all
}

// controllersEKSPolicy is what the controllers need besides, for clusters on EKS.
func (s *capaSpec) controllersEKSPolicy() document {
	roleActions := actions("iam", "GetRole ListAttachedRolePolicies")
	if s.EKS.IAMRoleCreation {
		roleActions = append(roleActions, actions("iam", "AttachRolePolicy CreateRole DeleteRole DetachRolePolicy TagRole")...)
	}
	all := []statement{
		// AMIs are parameters of AWS itself: their ARNs have no account.
		allow(texts{sub("arn:${AWS::Partition}:ssm:*:*:parameter/aws/service/eks/optimized-ami/*")}, "ssm:GetParameter"),
		serviceLinked("eks.amazonaws.com", "eks.amazonaws.com", "AWSServiceRoleForAmazonEKS"),
		serviceLinked("eks-nodegroup.amazonaws.com", "eks-nodegroup.amazonaws.com", "AWSServiceRoleForAmazonEKSNodegroup"),
		serviceLinked("eks-fargate.amazonaws.com", "eks-fargate-pods.amazonaws.com", "AWSServiceRoleForAmazonEKSForFargate"),
		allow(texts{ownIAM("role/*")}, roleActions...),
		allow(texts{awsManaged("AmazonEKSClusterPolicy")}, "iam:GetPolicy"),
		allow(texts{own("eks", "cluster/*"), own("eks", "identityproviderconfig/*"), own("eks", "nodegroup/*")}, actions("eks",
			`AssociateEncryptionConfig AssociateIdentityProviderConfig CreateCluster CreateNodegroup DeleteCluster
			DeleteNodegroup DescribeCluster DescribeIdentityProviderConfig DescribeNodegroup
			DisassociateIdentityProviderConfig ListIdentityProviderConfigs TagResource UntagResource
			UpdateClusterConfig UpdateClusterVersion UpdateNodegroupConfig UpdateNodegroupVersion`)...),
		allow(everything, slices.Concat(
			actions("ec2", "AssociateVpcCidrBlock DisassociateVpcCidrBlock"),
			actions("eks", `AssociateAccessPolicy CreateAccessEntry DeleteAccessEntry DescribeAccessEntry
				DisassociateAccessPolicy ListAccessEntries ListAssociatedAccessPolicies ListClusters UpdateAccessEntry
				CreateAddon DeleteAddon DescribeAddon DescribeAddonVersions ListAddons UpdateAddon
				CreateFargateProfile DeleteFargateProfile DescribeFargateProfile TagResource`),
		)...),
		allow(everything, "iam:PassRole").under("StringEquals", "iam:PassedToService", "eks.amazonaws.com"),
		allow(everything, actions("kms", "CreateGrant DescribeKey")...).
			under("ForAnyValue:StringLike", "kms:ResourceAliases", "alias/"+s.EKS.KMSAliasPrefix),
	}
	if s.EKS.IAMRoleCreation {
		all = append(all, allow(everything, actions("iam",
			`AddClientIDToOpenIDConnectProvider CreateOpenIDConnectProvider DeleteOpenIDConnectProvider
			GetOpenIDConnectProvider ListOpenIDConnectProviders TagOpenIDConnectProvider
			UpdateOpenIDConnectProviderThumbprint`)...))
	}
	return documentOf(all...)
}

// controlPlanePolicy is what the AWS cloud provider needs on nodes of the control plane.
func controlPlanePolicy() document {
	return documentOf(allow(everything, slices.Concat(
		actions("autoscaling", "DescribeAutoScalingGroups DescribeLaunchConfigurations DescribeTags"),
		actions("ec2", `AssignIpv6Addresses AttachVolume AuthorizeSecurityGroupIngress CreateRoute CreateSecurityGroup
			CreateTags CreateVolume DeleteRoute DeleteSecurityGroup DeleteVolume DescribeImages DescribeInstances
			DescribeRegions DescribeRouteTables DescribeSecurityGroups DescribeSubnets DescribeVolumes DescribeVpcs
			DetachVolume ModifyInstanceAttribute ModifyVolume RevokeSecurityGroupIngress`),
		actions("elasticloadbalancing", `AddTags ApplySecurityGroupsToLoadBalancer AttachLoadBalancerToSubnets
			ConfigureHealthCheck CreateListener CreateLoadBalancer CreateLoadBalancerListeners
			CreateLoadBalancerPolicy CreateTargetGroup DeleteListener DeleteLoadBalancer
			DeleteLoadBalancerListeners DeleteTargetGroup DeregisterInstancesFromLoadBalancer DeregisterTargets
			DescribeListeners DescribeLoadBalancerAttributes DescribeLoadBalancerPolicies DescribeLoadBalancers
			DescribeTargetGroups DescribeTargetHealth DetachLoadBalancerFromSubnets ModifyListener
			ModifyLoadBalancerAttributes ModifyTargetGroup RegisterInstancesWithLoadBalancer RegisterTargets
			SetLoadBalancerPoliciesForBackendServer SetLoadBalancerPoliciesOfListener SetSecurityGroups`),
		actions("iam", "CreateServiceLinkedRole"),
		actions("kms", "DescribeKey"),
	)...))
}

// nodesPolicy is what every node needs.
func (s *capaSpec) nodesPolicy() document {
	all := []statement{allow(everything, slices.Concat(
		actions("ec2", `AssignIpv6Addresses CreateTags DescribeInstanceTypes DescribeInstances
			DescribeNetworkInterfaces DescribeRegions DescribeTags`),
		actions("ecr", `BatchCheckLayerAvailability BatchGetImage DescribeRepositories GetAuthorizationToken
			GetDownloadUrlForLayer GetRepositoryPolicy ListImages`),
	)...)}
	for _, backend := range s.SecureSecretBackends {
		if backend == secretsManager {
			all = append(all, allow(texts{own("secretsmanager", "secret:aws.cluster.x-k8s.io/*")},
				actions("secretsmanager", "DeleteSecret GetSecretValue")...))
		} else {
			all = append(all, allow(texts{own("ssm", "parameter/cluster.x-k8s.io/*")},
				actions("ssm", "DeleteParameter GetParameter")...))
		}
	}
	return documentOf(append(all, allow(everything, slices.Concat( // Session Manager
		actions("s3", "GetEncryptionConfiguration"),
		actions("ssm", "UpdateInstanceInformation"),
		actions("ssmmessages", "CreateControlChannel CreateDataChannel OpenControlChannel OpenDataChannel"),
	)...))...)
}
