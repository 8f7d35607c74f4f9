"""IAM."""

from local.deployer.resource import Aws, Created, RequestedResource


def _role(aws: Aws, r: RequestedResource) -> Created:
    name = r.physical_name()
    role = aws.client("iam").create_role(
        RoleName=name,
        AssumeRolePolicyDocument=r["assumeRolePolicy"],
        **r.pick(
            Path="path",
            Description="description",
            MaxSessionDuration="maxSessionDuration",
            PermissionsBoundary="permissionsBoundary",
        ),
    )["Role"]
    return Created(name, {"name": name, "arn": role["Arn"], "uniqueId": role["RoleId"]})


def _role_policy(aws: Aws, r: RequestedResource) -> Created:
    name = r.physical_name()
    aws.client("iam").put_role_policy(
        RoleName=r["role"], PolicyName=name, PolicyDocument=r["policy"]
    )
    return Created(f"{r['role']}:{name}", {"name": name})


def _policy(aws: Aws, r: RequestedResource) -> Created:
    name = r.physical_name()
    policy = aws.client("iam").create_policy(
        PolicyName=name,
        PolicyDocument=r["policy"],
        **r.pick(Path="path", Description="description"),
    )["Policy"]
    return Created(policy["Arn"], {"name": name, "arn": policy["Arn"]})


def _identity_provider(aws: Aws, r: RequestedResource) -> Created:
    parameters = r.pick(ClientIDList="clientIdLists", ThumbprintList="thumbprintLists")
    arn = aws.client("iam").create_open_id_connect_provider(Url=r["url"], **parameters)[
        "OpenIDConnectProviderArn"
    ]
    return Created(arn, {"arn": arn})


def _attachment(aws: Aws, r: RequestedResource) -> Created:
    aws.client("iam").attach_role_policy(RoleName=r["role"], PolicyArn=r["policyArn"])
    return Created(f"{r['role']}-{r['policyArn']}", {})


def _instance_profile(aws: Aws, r: RequestedResource) -> Created:
    name = r.physical_name()
    iam = aws.client("iam")
    profile = iam.create_instance_profile(InstanceProfileName=name, **r.pick(Path="path"))
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=r["role"])
    return Created(name, {"name": name, "arn": profile["InstanceProfile"]["Arn"]})


HANDLERS = {
    "aws:iam/role:Role": _role,
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _attachment,
    "aws:iam/policy:Policy": _policy,
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": _identity_provider,
    "aws:iam/instanceProfile:InstanceProfile": _instance_profile,
}
