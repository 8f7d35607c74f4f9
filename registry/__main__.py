"""What all stacks share: the image repositories, and the roles that GitHub Actions takes."""

import pulumi
import pulumi_aws as aws

from components.common.identity import Location
from components.deployers.component import Deployers, DeployersArgs
from components.images.repositories import Repositories, RepositoriesArgs
from components.settings.registry import read_registry_settings
from contracts.names import PROJECT

settings = read_registry_settings()
region = pulumi.Config("aws").require("region")
provider = aws.Provider(PROJECT, region=region, default_tags={"tags": settings.tags()})
opts = pulumi.ResourceOptions(providers=[provider])
location = Location.of(provider)

if settings.repositories:
    repositories_args = RepositoriesArgs(
        location=location,
        readers=settings.readers,
        encryption=settings.encryption,
        kept_builds=settings.kept_builds,
        protect=settings.protect,
    )
    repositories = Repositories(PROJECT, repositories_args, opts)
    for image, url in repositories.urls.items():
        pulumi.export(f"{image.value}_repository", url)

if settings.github_repository and settings.state_bucket:
    deployers_args = DeployersArgs(
        location=location,
        github_repository=settings.github_repository,
        state_bucket=settings.state_bucket,
        stacks=settings.stacks,
        provider_arn=settings.github_oidc_provider_arn,
    )
    deployers = Deployers(PROJECT, deployers_args, opts)
    pulumi.export("boundary_arn", deployers.boundary_arn)
    pulumi.export("preview_role_arn", deployers.preview_role_arn)
    pulumi.export("deploy_role_arns", deployers.role_arns)
    pulumi.export("secrets_provider", deployers.secrets_provider)
