"""EventBridge, CloudWatch and budgets."""

from typing import Any

from local.deployer.resource import Aws, Created, DeployError, RequestedResource, pascal


def _rule(aws: Aws, r: RequestedResource) -> Created:
    r.ignore("forceDestroy")
    name = r.physical_name()
    arn = aws.client("events").put_rule(
        Name=name,
        **r.pick(
            EventPattern="eventPattern",
            ScheduleExpression="scheduleExpression",
            Description="description",
            State="state",
            EventBusName="eventBusName",
            RoleArn="roleArn",
        ),
    )["RuleArn"]
    return Created(name, {"name": name, "arn": arn})


def _target(aws: Aws, r: RequestedResource) -> Created:
    r.ignore("forceDestroy")
    identifier = r.get("targetId") or r.name
    nested = {
        "DeadLetterConfig": r.get("deadLetterConfig"),
        "RetryPolicy": r.get("retryPolicy"),
        "SqsParameters": r.get("sqsTarget"),
    }
    target = {
        "Id": identifier,
        "Arn": r["arn"],
        **{key: pascal(value) for key, value in nested.items() if value is not None},
        **r.pick(RoleArn="roleArn", Input="input", InputPath="inputPath"),
    }
    if transformer := r.get("inputTransformer"):
        target["InputTransformer"] = {
            "InputPathsMap": transformer.get("inputPaths", {}),
            "InputTemplate": transformer["inputTemplate"],
        }
    answer = aws.client("events").put_targets(
        Rule=r["rule"], Targets=[target], **r.pick(EventBusName="eventBusName")
    )
    if answer["FailedEntryCount"]:
        raise DeployError(f"{r}: {answer['FailedEntries'][0]['ErrorMessage']}")
    return Created(f"{r['rule']}-{identifier}", {"targetId": identifier})


def _log_group(aws: Aws, r: RequestedResource) -> Created:
    r.ignore("skipDestroy")
    name = r.physical_name()
    logs = aws.client("logs")
    logs.create_log_group(logGroupName=name, **r.pick(kmsKeyId="kmsKeyId"))
    if days := r.get("retentionInDays"):
        logs.put_retention_policy(logGroupName=name, retentionInDays=days)
    return Created(name, {"name": name, "arn": aws.arn("logs", f"log-group:{name}")})


def _log_resource_policy(aws: Aws, r: RequestedResource) -> Created:
    name = r["policyName"]
    aws.client("logs").put_resource_policy(policyName=name, policyDocument=r["policyDocument"])
    return Created(name, {})


def _metric_alarm(aws: Aws, r: RequestedResource) -> Created:
    name = r.physical_name()
    dimensions = [{"Name": k, "Value": v} for k, v in (r.get("dimensions") or {}).items()]
    aws.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Dimensions=dimensions,
        **r.pick(
            AlarmDescription="alarmDescription",
            ComparisonOperator="comparisonOperator",
            EvaluationPeriods="evaluationPeriods",
            DatapointsToAlarm="datapointsToAlarm",
            Threshold="threshold",
            MetricName="metricName",
            Namespace="namespace",
            Period="period",
            Statistic="statistic",
            ExtendedStatistic="extendedStatistic",
            TreatMissingData="treatMissingData",
            AlarmActions="alarmActions",
            OKActions="okActions",
            ActionsEnabled="actionsEnabled",
        ),
    )
    return Created(name, {"name": name, "arn": aws.arn("cloudwatch", f"alarm:{name}")})


def _dashboard(aws: Aws, r: RequestedResource) -> Created:
    name = r["dashboardName"]
    answer = aws.client("cloudwatch").put_dashboard(
        DashboardName=name, DashboardBody=r["dashboardBody"]
    )
    if messages := answer.get("DashboardValidationMessages"):
        raise DeployError(f"{r}: {messages[0]['Message']}")
    return Created(name, {"dashboardArn": f"arn:aws:cloudwatch::{aws.account}:dashboard/{name}"})


def _budget(aws: Aws, r: RequestedResource) -> Created:
    """Kept by the embedded AWS, which never charges and so never warns."""
    name = r.physical_name()
    filters = {one["name"]: one["values"] for one in r.get("costFilters") or []}
    aws.client("budgets").create_budget(
        AccountId=aws.account,
        Budget={
            "BudgetName": name,
            "BudgetType": r["budgetType"],
            "TimeUnit": r["timeUnit"],
            "BudgetLimit": {"Amount": r["limitAmount"], "Unit": r["limitUnit"]},
            "CostFilters": filters,
        },
        NotificationsWithSubscribers=[_notification(n) for n in r.get("notifications") or []],
    )
    return Created(f"{aws.account}:{name}", {"name": name, "accountId": aws.account})


def _notification(given: dict[str, Any]) -> dict[str, Any]:
    addresses = given["subscriberEmailAddresses"]
    return {
        "Notification": {
            "NotificationType": given["notificationType"],
            "ComparisonOperator": given["comparisonOperator"],
            "Threshold": given["threshold"],
            "ThresholdType": given["thresholdType"],
        },
        "Subscribers": [{"SubscriptionType": "EMAIL", "Address": a} for a in addresses],
    }


HANDLERS = {
    "aws:budgets/budget:Budget": _budget,
    "aws:cloudwatch/dashboard:Dashboard": _dashboard,
    "aws:cloudwatch/eventRule:EventRule": _rule,
    "aws:cloudwatch/eventTarget:EventTarget": _target,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": _log_resource_policy,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _metric_alarm,
}
