"""Makes `roadsense.template.json`, the set-up of an account for CloudFormation, of the policies in `iam`.

`python infra/build.py` writes it; the policies stay the one source.
"""

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
TEMPLATE = FOLDER / "roadsense.template.json"
VARIABLES = {
    "ACCOUNT": "AWS::AccountId",
    "REGION": "AWS::Region",
    "BUCKET": "Bucket",
    "PREFIX": "Prefix",
    "REPOSITORY": "Repository",
}
"""What CloudFormation calls the variables of the policies."""
KEPT_IMAGES = 20


def build() -> dict[str, Any]:
    """Returns the template."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "RoadSense: a bucket, a repository of images, roles for jobs and policies for people",
        "Parameters": {
            "Bucket": {
                "Type": "String",
                "AllowedPattern": "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
                "Description": "Name of the bucket for datasets and results; it is made",
            },
            "Prefix": {"Type": "String", "Default": "roadsense", "Description": "Where in the bucket everything lies"},
            "Repository": {"Type": "String", "Default": "roadsense", "Description": "Name of the repository in ECR"},
        },
        "Resources": {
            "JobBucket": _bucket(),
            "ImageRepository": _repository(),
            "SageMakerRole": _role("sagemaker"),
            "InstanceRole": _role("instance"),
            "InstanceProfile": {
                "Type": "AWS::IAM::InstanceProfile",
                "Properties": {"InstanceProfileName": "roadsense-instance", "Roles": [{"Ref": "InstanceRole"}]},
            },
            "SubmitterPolicy": _policy("submitter"),
            "SageMakerSubmitterPolicy": _policy("sagemaker-submitter"),
            "PublisherPolicy": _policy("publisher"),
        },
        "Outputs": {
            "Output": {"Value": {"Fn::Sub": "s3://${Bucket}/${Prefix}"}, "Description": "for --output"},
            "ImageUri": {"Value": {"Fn::GetAtt": ["ImageRepository", "RepositoryUri"]}},
            "SageMakerRoleArn": {"Value": {"Fn::GetAtt": ["SageMakerRole", "Arn"]}, "Description": "for --role"},
        },
    }


def _bucket() -> dict[str, Any]:
    closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    days = {
        "Id": "unfinished-uploads",
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
    }
    return {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "BucketName": {"Ref": "Bucket"},
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "PublicAccessBlockConfiguration": dict.fromkeys(closed, True),
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "VersioningConfiguration": {"Status": "Enabled"},
            "LifecycleConfiguration": {"Rules": [days]},
        },
    }


def _repository() -> dict[str, Any]:
    rule = {
        "rulePriority": 1,
        "description": "images without a tag",
        "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": KEPT_IMAGES},
        "action": {"type": "expire"},
    }
    return {
        "Type": "AWS::ECR::Repository",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "RepositoryName": {"Ref": "Repository"},
            "ImageTagMutability": "IMMUTABLE",
            "ImageScanningConfiguration": {"ScanOnPush": True},
            "LifecyclePolicy": {"LifecyclePolicyText": json.dumps({"rules": [rule]})},
        },
    }


def _role(name: str) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": f"roadsense-{name}",
            "AssumeRolePolicyDocument": _read(f"{name}-trust"),
            "Policies": [{"PolicyName": "roadsense", "PolicyDocument": _read(f"{name}-role")}],
        },
    }


def _policy(name: str) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {"ManagedPolicyName": f"roadsense-{name}", "PolicyDocument": _read(name)},
    }


def _read(name: str) -> Any:
    return _substitute(json.loads((FOLDER / "iam" / f"{name}.json").read_text()))


def _substitute(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _substitute(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_substitute(item) for item in value]
    if isinstance(value, str) and "${" in value:
        if not re.search(r"\$\{\w+\}", value):  # a variable of IAM alone
            return value
        text = value.replace("${aws:", "${!aws:")
        return {"Fn::Sub": re.sub(r"\$\{(\w+)\}", lambda match: f"${{{VARIABLES[match[1]]}}}", text)}
    return value


if __name__ == "__main__":
    TEMPLATE.write_text(json.dumps(build(), indent=2) + "\n")
