-- The tables of an opsi 4.3 server's database, schema version 13: what opsiconfd's
-- own schema has in columns, keys and references. One column a line, because the
-- reader takes the columns from here.

CREATE TABLE `CONFIG` (
  `configId` VARCHAR(200) NOT NULL,
  `type` VARCHAR(30) NOT NULL,
  `description` VARCHAR(256) DEFAULT NULL,
  `multiValue` TINYINT(1) NOT NULL DEFAULT 0,
  `editable` TINYINT(1) NOT NULL DEFAULT 1,
  PRIMARY KEY (`configId`),
  KEY `by_type` (`type`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `CONFIG_VALUE` (
  `config_value_id` INT NOT NULL AUTO_INCREMENT,
  `configId` VARCHAR(200) NOT NULL,
  `value` TEXT,
  `isDefault` TINYINT(1) DEFAULT NULL,
  PRIMARY KEY (`config_value_id`),
  KEY `by_configId` (`configId`),
  FOREIGN KEY (`configId`) REFERENCES `CONFIG` (`configId`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `CONFIG_STATE` (
  `configId` VARCHAR(200) NOT NULL,
  `objectId` VARCHAR(255) NOT NULL,
  `values` TEXT,
  PRIMARY KEY (`configId`, `objectId`),
  KEY `by_configId` (`configId`),
  KEY `by_objectId` (`objectId`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `GROUP` (
  `type` VARCHAR(30) NOT NULL,
  `groupId` VARCHAR(255) NOT NULL,
  `parentGroupId` VARCHAR(255) DEFAULT NULL,
  `description` VARCHAR(100) DEFAULT NULL,
  `notes` VARCHAR(8192) DEFAULT NULL,
  PRIMARY KEY (`type`, `groupId`),
  KEY `by_parentGroupId` (`parentGroupId`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `OBJECT_TO_GROUP` (
  `groupType` VARCHAR(30) NOT NULL,
  `groupId` VARCHAR(255) NOT NULL,
  `objectId` VARCHAR(255) NOT NULL,
  PRIMARY KEY (`groupType`, `groupId`, `objectId`),
  KEY `by_groupType_groupId` (`groupType`, `groupId`),
  KEY `by_objectId` (`objectId`),
  FOREIGN KEY (`groupType`, `groupId`) REFERENCES `GROUP` (`type`, `groupId`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `HOST` (
  `hostId` VARCHAR(255) NOT NULL,
  `type` VARCHAR(30) DEFAULT NULL,
  `description` VARCHAR(100) DEFAULT NULL,
  `notes` VARCHAR(8192) DEFAULT NULL,
  `hardwareAddress` VARCHAR(17) DEFAULT NULL,
  `ipAddress` VARCHAR(255) DEFAULT NULL,
  `inventoryNumber` VARCHAR(64) DEFAULT NULL,
  `created` TIMESTAMP NULL DEFAULT NULL,
  `lastSeen` TIMESTAMP NULL DEFAULT NULL,
  `opsiHostKey` VARCHAR(32) DEFAULT NULL,
  `oneTimePassword` VARCHAR(32) DEFAULT NULL,
  `systemUUID` VARCHAR(36) DEFAULT NULL,
  `maxBandwidth` INT DEFAULT NULL,
  `depotLocalUrl` VARCHAR(128) DEFAULT NULL,
  `depotRemoteUrl` VARCHAR(255) DEFAULT NULL,
  `depotWebdavUrl` VARCHAR(255) DEFAULT NULL,
  `repositoryLocalUrl` VARCHAR(128) DEFAULT NULL,
  `repositoryRemoteUrl` VARCHAR(255) DEFAULT NULL,
  `networkAddress` VARCHAR(31) DEFAULT NULL,
  `isMasterDepot` TINYINT(1) DEFAULT NULL,
  `masterDepotId` VARCHAR(255) DEFAULT NULL,
  `workbenchLocalUrl` VARCHAR(128) DEFAULT NULL,
  `workbenchRemoteUrl` VARCHAR(255) DEFAULT NULL,
  PRIMARY KEY (`hostId`),
  UNIQUE KEY `by_systemUUID` (`systemUUID`),
  KEY `by_type` (`type`),
  KEY `by_lastSeen` (`lastSeen`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `PRODUCT` (
  `productId` VARCHAR(255) NOT NULL,
  `productVersion` VARCHAR(32) NOT NULL,
  `packageVersion` VARCHAR(16) NOT NULL,
  `type` VARCHAR(32) NOT NULL,
  `name` VARCHAR(128) NOT NULL DEFAULT '',
  `licenseRequired` TINYINT(1) NOT NULL DEFAULT 0,
  `setupScript` VARCHAR(50) DEFAULT NULL,
  `uninstallScript` VARCHAR(50) DEFAULT NULL,
  `updateScript` VARCHAR(50) DEFAULT NULL,
  `alwaysScript` VARCHAR(50) DEFAULT NULL,
  `onceScript` VARCHAR(50) DEFAULT NULL,
  `customScript` VARCHAR(50) DEFAULT NULL,
  `userLoginScript` VARCHAR(50) DEFAULT NULL,
  `priority` INT DEFAULT 0,
  `description` TEXT,
  `advice` TEXT,
  `pxeConfigTemplate` VARCHAR(50) DEFAULT NULL,
  `changelog` TEXT,
  PRIMARY KEY (`productId`, `productVersion`, `packageVersion`),
  KEY `by_type` (`type`),
  KEY `by_productId` (`productId`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `PRODUCT_DEPENDENCY` (
  `productId` VARCHAR(255) NOT NULL,
  `productVersion` VARCHAR(32) NOT NULL,
  `packageVersion` VARCHAR(16) NOT NULL,
  `productAction` VARCHAR(16) NOT NULL,
  `requiredProductId` VARCHAR(255) NOT NULL,
  `requiredProductVersion` VARCHAR(32) DEFAULT NULL,
  `requiredPackageVersion` VARCHAR(16) DEFAULT NULL,
  `requiredAction` VARCHAR(16) DEFAULT NULL,
  `requiredInstallationStatus` VARCHAR(16) DEFAULT NULL,
  `requirementType` VARCHAR(16) DEFAULT NULL,
  PRIMARY KEY (`productId`, `productVersion`, `packageVersion`, `productAction`, `requiredProductId`),
  FOREIGN KEY (`productId`, `productVersion`, `packageVersion`) REFERENCES `PRODUCT` (`productId`, `productVersion`, `packageVersion`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `PRODUCT_PROPERTY` (
  `productId` VARCHAR(255) NOT NULL,
  `productVersion` VARCHAR(32) NOT NULL,
  `packageVersion` VARCHAR(16) NOT NULL,
  `propertyId` VARCHAR(200) NOT NULL,
  `type` VARCHAR(30) NOT NULL,
  `description` TEXT,
  `multiValue` TINYINT(1) NOT NULL DEFAULT 0,
  `editable` TINYINT(1) NOT NULL DEFAULT 1,
  PRIMARY KEY (`productId`, `productVersion`, `packageVersion`, `propertyId`),
  KEY `by_type` (`type`),
  FOREIGN KEY (`productId`, `productVersion`, `packageVersion`) REFERENCES `PRODUCT` (`productId`, `productVersion`, `packageVersion`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `PRODUCT_PROPERTY_VALUE` (
  `product_property_id` INT NOT NULL AUTO_INCREMENT,
  `productId` VARCHAR(255) NOT NULL,
  `productVersion` VARCHAR(32) NOT NULL,
  `packageVersion` VARCHAR(16) NOT NULL,
  `propertyId` VARCHAR(200) NOT NULL,
  `value` TEXT,
  `isDefault` TINYINT(1) DEFAULT NULL,
  PRIMARY KEY (`product_property_id`),
  KEY `by_productId_all` (`productId`, `productVersion`, `packageVersion`, `propertyId`),
  FOREIGN KEY (`productId`, `productVersion`, `packageVersion`, `propertyId`) REFERENCES `PRODUCT_PROPERTY` (`productId`, `productVersion`, `packageVersion`, `propertyId`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `PRODUCT_PROPERTY_STATE` (
  `productId` VARCHAR(255) NOT NULL,
  `propertyId` VARCHAR(200) NOT NULL,
  `objectId` VARCHAR(255) NOT NULL,
  `values` TEXT,
  PRIMARY KEY (`productId`, `propertyId`, `objectId`),
  KEY `by_objectId` (`objectId`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `PRODUCT_ON_DEPOT` (
  `productId` VARCHAR(255) NOT NULL,
  `productType` VARCHAR(16) NOT NULL,
  `productVersion` VARCHAR(32) NOT NULL,
  `packageVersion` VARCHAR(16) NOT NULL,
  `depotId` VARCHAR(255) NOT NULL,
  `locked` TINYINT(1) NOT NULL DEFAULT 0,
  PRIMARY KEY (`productId`, `productType`, `productVersion`, `packageVersion`, `depotId`),
  UNIQUE KEY `by_productId_depotId` (`productId`, `depotId`),
  KEY `by_productId_productVersion_packageVersion` (`productId`, `productVersion`, `packageVersion`),
  KEY `by_depotId` (`depotId`),
  KEY `by_productType` (`productType`),
  FOREIGN KEY (`depotId`) REFERENCES `HOST` (`hostId`) ON DELETE CASCADE ON UPDATE CASCADE,
  FOREIGN KEY (`productId`, `productVersion`, `packageVersion`) REFERENCES `PRODUCT` (`productId`, `productVersion`, `packageVersion`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `PRODUCT_ON_CLIENT` (
  `productId` VARCHAR(255) NOT NULL,
  `productType` VARCHAR(16) NOT NULL,
  `clientId` VARCHAR(255) NOT NULL,
  `targetConfiguration` VARCHAR(16) DEFAULT NULL,
  `installationStatus` VARCHAR(16) NOT NULL DEFAULT 'not_installed',
  `actionRequest` VARCHAR(16) NOT NULL DEFAULT 'none',
  `actionProgress` VARCHAR(255) DEFAULT NULL,
  `actionResult` VARCHAR(16) DEFAULT NULL,
  `lastAction` VARCHAR(16) DEFAULT NULL,
  `productVersion` VARCHAR(32) DEFAULT NULL,
  `packageVersion` VARCHAR(16) DEFAULT NULL,
  `modificationTime` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (`productId`, `productType`, `clientId`),
  UNIQUE KEY `by_productId_clientId` (`productId`, `clientId`),
  KEY `by_clientId` (`clientId`),
  FOREIGN KEY (`clientId`) REFERENCES `HOST` (`hostId`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `LICENSE_CONTRACT` (
  `licenseContractId` VARCHAR(100) NOT NULL,
  `type` VARCHAR(30) NOT NULL,
  `description` VARCHAR(100) DEFAULT NULL,
  `notes` VARCHAR(8192) DEFAULT NULL,
  `partner` VARCHAR(100) DEFAULT NULL,
  `conclusionDate` TIMESTAMP NULL DEFAULT NULL,
  `notificationDate` TIMESTAMP NULL DEFAULT NULL,
  `expirationDate` TIMESTAMP NULL DEFAULT NULL,
  PRIMARY KEY (`licenseContractId`),
  KEY `by_type` (`type`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `LICENSE_POOL` (
  `licensePoolId` VARCHAR(100) NOT NULL,
  `type` VARCHAR(30) NOT NULL,
  `description` VARCHAR(200) DEFAULT NULL,
  PRIMARY KEY (`licensePoolId`),
  KEY `by_type` (`type`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `PRODUCT_ID_TO_LICENSE_POOL` (
  `licensePoolId` VARCHAR(100) NOT NULL,
  `productId` VARCHAR(255) NOT NULL,
  PRIMARY KEY (`licensePoolId`, `productId`),
  FOREIGN KEY (`licensePoolId`) REFERENCES `LICENSE_POOL` (`licensePoolId`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `SOFTWARE` (
  `name` VARCHAR(100) NOT NULL,
  `version` VARCHAR(100) NOT NULL,
  `subVersion` VARCHAR(100) NOT NULL,
  `language` VARCHAR(10) NOT NULL,
  `architecture` VARCHAR(3) NOT NULL,
  `windowsSoftwareId` VARCHAR(100) DEFAULT NULL,
  `windowsDisplayName` VARCHAR(100) DEFAULT NULL,
  `windowsDisplayVersion` VARCHAR(100) DEFAULT NULL,
  `type` VARCHAR(30) NOT NULL,
  `installSize` BIGINT DEFAULT NULL,
  PRIMARY KEY (`name`, `version`, `subVersion`, `language`, `architecture`),
  KEY `by_windowsSoftwareId` (`windowsSoftwareId`),
  KEY `by_type` (`type`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `SOFTWARE_CONFIG` (
  `clientId` VARCHAR(255) NOT NULL,
  `name` VARCHAR(100) NOT NULL,
  `version` VARCHAR(100) NOT NULL,
  `subVersion` VARCHAR(100) NOT NULL,
  `language` VARCHAR(10) NOT NULL,
  `architecture` VARCHAR(3) NOT NULL,
  `uninstallString` VARCHAR(200) DEFAULT NULL,
  `binaryName` VARCHAR(100) DEFAULT NULL,
  `firstseen` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  `lastseen` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  `state` TINYINT NOT NULL,
  `usageFrequency` INT NOT NULL DEFAULT -1,
  `lastUsed` TIMESTAMP NULL DEFAULT NULL,
  `licenseKey` VARCHAR(1024) DEFAULT NULL,
  PRIMARY KEY (`clientId`, `name`, `version`, `subVersion`, `language`, `architecture`),
  KEY `by_clientId` (`clientId`),
  KEY `by_name_all` (`name`, `version`, `subVersion`, `language`, `architecture`),
  FOREIGN KEY (`clientId`) REFERENCES `HOST` (`hostId`) ON DELETE CASCADE ON UPDATE CASCADE,
  FOREIGN KEY (`name`, `version`, `subVersion`, `language`, `architecture`) REFERENCES `SOFTWARE` (`name`, `version`, `subVersion`, `language`, `architecture`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `SOFTWARE_LICENSE` (
  `softwareLicenseId` VARCHAR(100) NOT NULL,
  `licenseContractId` VARCHAR(100) NOT NULL,
  `type` VARCHAR(30) NOT NULL,
  `boundToHost` VARCHAR(255) DEFAULT NULL,
  `maxInstallations` INT NOT NULL DEFAULT 1,
  `expirationDate` TIMESTAMP NULL DEFAULT NULL,
  PRIMARY KEY (`softwareLicenseId`),
  KEY `by_licenseContractId` (`licenseContractId`),
  KEY `by_type` (`type`),
  KEY `by_boundToHost` (`boundToHost`),
  FOREIGN KEY (`licenseContractId`) REFERENCES `LICENSE_CONTRACT` (`licenseContractId`) ON DELETE RESTRICT ON UPDATE RESTRICT,
  FOREIGN KEY (`boundToHost`) REFERENCES `HOST` (`hostId`) ON DELETE SET NULL ON UPDATE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `SOFTWARE_LICENSE_TO_LICENSE_POOL` (
  `softwareLicenseId` VARCHAR(100) NOT NULL,
  `licensePoolId` VARCHAR(100) NOT NULL,
  `licenseKey` VARCHAR(1024) DEFAULT NULL,
  PRIMARY KEY (`softwareLicenseId`, `licensePoolId`),
  KEY `by_licensePoolId` (`licensePoolId`),
  FOREIGN KEY (`softwareLicenseId`) REFERENCES `SOFTWARE_LICENSE` (`softwareLicenseId`) ON DELETE RESTRICT ON UPDATE RESTRICT,
  FOREIGN KEY (`licensePoolId`) REFERENCES `LICENSE_POOL` (`licensePoolId`) ON DELETE RESTRICT ON UPDATE RESTRICT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `LICENSE_ON_CLIENT` (
  `softwareLicenseId` VARCHAR(100) NOT NULL,
  `licensePoolId` VARCHAR(100) NOT NULL,
  `clientId` VARCHAR(255) NOT NULL,
  `licenseKey` VARCHAR(1024) DEFAULT NULL,
  `notes` VARCHAR(8192) DEFAULT NULL,
  PRIMARY KEY (`softwareLicenseId`, `licensePoolId`, `clientId`),
  KEY `by_clientId` (`clientId`),
  FOREIGN KEY (`softwareLicenseId`, `licensePoolId`) REFERENCES `SOFTWARE_LICENSE_TO_LICENSE_POOL` (`softwareLicenseId`, `licensePoolId`) ON DELETE RESTRICT ON UPDATE RESTRICT,
  FOREIGN KEY (`clientId`) REFERENCES `HOST` (`hostId`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `AUDIT_SOFTWARE_TO_LICENSE_POOL` (
  `licensePoolId` VARCHAR(100) NOT NULL,
  `name` VARCHAR(100) NOT NULL,
  `version` VARCHAR(100) NOT NULL,
  `subVersion` VARCHAR(100) NOT NULL,
  `language` VARCHAR(10) NOT NULL,
  `architecture` VARCHAR(3) NOT NULL,
  PRIMARY KEY (`licensePoolId`, `name`, `version`, `subVersion`, `language`, `architecture`),
  FOREIGN KEY (`licensePoolId`) REFERENCES `LICENSE_POOL` (`licensePoolId`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `WINDOWS_SOFTWARE_ID_TO_PRODUCT` (
  `windowsSoftwareId` VARCHAR(100) NOT NULL,
  `productId` VARCHAR(255) NOT NULL,
  PRIMARY KEY (`windowsSoftwareId`, `productId`),
  KEY `by_productId` (`productId`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `USER` (
  `userId` VARCHAR(200) NOT NULL,
  `created` TIMESTAMP NULL DEFAULT NULL,
  `lastLogin` TIMESTAMP NULL DEFAULT NULL,
  `mfaState` VARCHAR(16) DEFAULT NULL,
  `otpSecret` VARCHAR(32) DEFAULT NULL,
  PRIMARY KEY (`userId`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;

CREATE TABLE `OPSI_SCHEMA` (
  `version` INT NOT NULL,
  `updateStarted` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  `updateEnded` TIMESTAMP NULL DEFAULT NULL,
  PRIMARY KEY (`version`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
